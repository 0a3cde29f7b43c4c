package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// foreign are the fields whose types are Kubernetes' own: named, not spelled out.
var foreign = map[string]string{
	"spec.env":              "list of EnvVar",
	"spec.envFrom":          "list of EnvFromSource",
	"spec.resources":        "ResourceRequirements",
	"spec.podTemplate":      "PodTemplateSpec",
	"spec.scaling.behavior": "HorizontalPodAutoscalerBehavior",
	"status.conditions":     "list of Condition",
}

// render makes the page of a CustomResourceDefinition's only version.
func render(crdYAML []byte) ([]byte, error) {
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(crdYAML, &crd); err != nil {
		return nil, err
	}
	if len(crd.Spec.Versions) != 1 || crd.Spec.Versions[0].Schema == nil {
		return nil, errors.New("want a CustomResourceDefinition with one version")
	}
	version := crd.Spec.Versions[0]
	root := version.Schema.OpenAPIV3Schema

	var out bytes.Buffer
	fmt.Fprintf(&out, "<!-- generated from %s_%s.yaml by make generate -->\n", crd.Spec.Group, crd.Spec.Names.Plural)
	fmt.Fprintf(&out, "# %s (%s/%s)\n\n", crd.Spec.Names.Kind, crd.Spec.Group, version.Name)
	fmt.Fprintf(&out, "%s\n\nShort name `%s`. `kubectl explain %s.spec` shows the same.\n", text(root.Description),
		strings.Join(crd.Spec.Names.ShortNames, "`, `"), crd.Spec.Names.Singular)
	var rules []string // on the object as a whole, its name first of all
	for _, rule := range root.XValidations {
		rules = append(rules, text(rule.Message))
	}
	refusals(&out, rules)
	for _, section := range []string{"spec", "status"} {
		schema, ok := root.Properties[section]
		if !ok {
			continue
		}
		fmt.Fprintf(
			&out, "\n## %s\n\n%s\n\n| field | type | meaning |\n|---|---|---|\n", section, text(schema.Description),
		)
		fields(&out, section, &schema)
		refusals(&out, validations(section, &schema))
	}
	return out.Bytes(), nil
}

// refusals lists rules, if there are any.
func refusals(out *bytes.Buffer, rules []string) {
	if len(rules) == 0 {
		return
	}
	out.WriteString("\nThe API server refuses pools that break one of these rules:\n\n")
	for _, rule := range rules {
		fmt.Fprintf(out, "- %s\n", rule)
	}
}

// fields writes a row for each field below a schema, required ones first.
func fields(out *bytes.Buffer, path string, schema *apiextensionsv1.JSONSchemaProps) {
	names := slices.Sorted(maps.Keys(schema.Properties))
	slices.SortStableFunc(names, func(a, b string) int {
		return rank(schema, a) - rank(schema, b)
	})
	for _, name := range names {
		field := schema.Properties[name]
		full := path + "." + name
		shown := strings.SplitN(full, ".", 2)[1]
		meaning := text(field.Description)
		if notes := bounds(&field); notes != "" {
			meaning += " (" + notes + ")"
		}
		if slices.Contains(schema.Required, name) {
			meaning += " **Required.**"
		}
		fmt.Fprintf(out, "| `%s` | %s | %s |\n", shown, kind(full, &field), strings.TrimSpace(meaning))
		if foreign[full] != "" {
			continue
		}
		if field.Items != nil && field.Items.Schema != nil {
			fields(out, full+"[]", field.Items.Schema)
		}
		fields(out, full, &field)
	}
}

func rank(schema *apiextensionsv1.JSONSchemaProps, name string) int {
	if slices.Contains(schema.Required, name) {
		return 0
	}
	return 1
}

func kind(path string, schema *apiextensionsv1.JSONSchemaProps) string {
	switch {
	case foreign[path] != "":
		return foreign[path]
	case schema.Type == "array" && schema.Items != nil && schema.Items.Schema != nil:
		return "list of " + kind("", schema.Items.Schema)
	case schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil:
		return "map of " + kind("", schema.AdditionalProperties.Schema)
	case len(schema.Enum) > 0:
		options := make([]string, len(schema.Enum))
		for i, option := range schema.Enum {
			options[i] = "`" + strings.Trim(string(option.Raw), `"`) + "`"
		}
		return strings.Join(options, ", ")
	case schema.Format == "date-time":
		return "time"
	}
	return schema.Type
}

// bounds says what a value may be, and what it is by default.
func bounds(schema *apiextensionsv1.JSONSchemaProps) string {
	var notes []string
	switch {
	case schema.Minimum != nil && schema.Maximum != nil:
		notes = append(notes, fmt.Sprintf("%.0f to %.0f", *schema.Minimum, *schema.Maximum))
	case schema.Minimum != nil:
		notes = append(notes, fmt.Sprintf("at least %.0f", *schema.Minimum))
	}
	switch {
	case schema.MinItems != nil && schema.MaxItems != nil:
		notes = append(notes, fmt.Sprintf("%d to %d of them", *schema.MinItems, *schema.MaxItems))
	case schema.MaxItems != nil:
		notes = append(notes, fmt.Sprintf("at most %d", *schema.MaxItems))
	}
	if schema.Default != nil {
		notes = append(notes, "default "+string(schema.Default.Raw))
	}
	return strings.Join(notes, "; ")
}

// validations are the messages of all rules in a schema, outermost first, each once.
func validations(path string, schema *apiextensionsv1.JSONSchemaProps) []string {
	var messages []string
	for _, rule := range schema.XValidations {
		messages = append(messages, text(rule.Message))
	}
	if foreign[path] == "" {
		if schema.Items != nil && schema.Items.Schema != nil {
			messages = append(messages, validations(path+"[]", schema.Items.Schema)...)
		}
		for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
			field := schema.Properties[name]
			messages = append(messages, validations(path+"."+name, &field)...)
		}
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(messages, func(m string) bool {
		known := seen[m]
		seen[m] = true
		return known || m == ""
	})
}

// text is a description as one line of a table.
func text(description string) string {
	description = strings.Join(strings.Fields(description), " ")
	return strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(description)
}
