package apiserver

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// schema returns the schema of the pool's CRD.
func schema(t *testing.T) *apiextensionsv1.JSONSchemaProps {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "config", "crd", "bases", "gearman.dev_gearmanworkerpools.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(data, &crd); err != nil {
		t.Fatal(err)
	}
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema
}

// walk visits the schema's nodes; a list's items are at PATH[0].
func walk(
	path string, node *apiextensionsv1.JSONSchemaProps, visit func(path string, node *apiextensionsv1.JSONSchemaProps),
) {
	visit(path, node)
	for _, name := range slices.Sorted(maps.Keys(node.Properties)) {
		walk(strings.TrimPrefix(path+"."+name, "."), new(node.Properties[name]), visit)
	}
	if node.Items != nil && node.Items.Schema != nil {
		walk(path+"[0]", node.Items.Schema, visit)
	}
}

// refusals collects the API server's messages when it refused, by field.
type refusals struct {
	mu   sync.Mutex
	seen map[string][]string
}

var index = regexp.MustCompile(`\[[^]]*\]`)

func (r *refusals) add(err error) {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || status.ErrStatus.Details == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = map[string][]string{}
	}
	for _, cause := range status.ErrStatus.Details.Causes {
		field := index.ReplaceAllString(cause.Field, "[0]")
		r.seen[field] = append(r.seen[field], cause.Message)
	}
}

// everyRule fails unless each CEL rule of the CRD has a refusal, at the rule's field and in its
// words.
func (r *refusals) everyRule(t *testing.T) {
	rules := 0
	walk("", schema(t), func(path string, node *apiextensionsv1.JSONSchemaProps) {
		for _, rule := range node.XValidations {
			rules++
			field := path + rule.FieldPath
			if field == "" {
				field = "<nil>" // the field of an error of the whole object
			}
			if !slices.ContainsFunc(r.seen[field], func(m string) bool { return strings.Contains(m, rule.Message) }) {
				t.Errorf("no row of the table is refused at %s by the rule %q (%s)", field, rule.Message, rule.Rule)
			}
		}
	})
	if rules < 15 {
		t.Errorf("only %d rules found in the CRD", rules)
	}
}

// TestBounds: each bound of the schema (enum, least, most, lengths, required) refuses a value just
// beyond it, and names the field.
func TestBounds(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	strict := client.WithFieldValidation(k8s, "Strict")
	tried := 0
	refused := func(path, bound string, value any) {
		tried++
		obj := &unstructured.Unstructured{
			Object: map[string]any{"apiVersion": "gearman.dev/v1alpha1", "kind": "GearmanWorkerPool"},
		}
		set(obj.Object, path, value)
		obj.SetNamespace(ns)
		obj.SetGenerateName("p-")
		field := path
		if bound == "required" {
			field += "." + value.(map[string]any)[""].(string)
			set(obj.Object, path, map[string]any{})
		}
		var r refusals
		err := strict.Create(t.Context(), obj, client.DryRunAll)
		r.add(err)
		if len(r.seen[field]) == 0 {
			t.Errorf("%s, %s: got %v; want a refusal at that field", path, bound, err)
		}
	}
	spec := schema(t).Properties["spec"]
	walk("spec", &spec, func(path string, n *apiextensionsv1.JSONSchemaProps) {
		if n.XIntOrString {
			return
		}
		if len(n.Enum) > 0 {
			refused(path, "enum", "Nonsense")
		}
		if n.Minimum != nil {
			refused(path, "minimum", int64(*n.Minimum)-1)
		}
		if n.Maximum != nil {
			refused(path, "maximum", int64(*n.Maximum)+1)
		}
		if n.MinLength != nil && *n.MinLength > 0 {
			refused(path, "minLength", strings.Repeat("x", int(*n.MinLength)-1))
		}
		if n.MaxLength != nil {
			refused(path, "maxLength", strings.Repeat("x", int(*n.MaxLength)+1))
		}
		if n.MinItems != nil && *n.MinItems > 0 {
			refused(path, "minItems", []any{})
		}
		if n.MaxItems != nil {
			refused(path, "maxItems", many(n.Items.Schema, int(*n.MaxItems)+1))
		}
		for _, name := range n.Required {
			refused(path, "required", map[string]any{"": name})
		}
	})
	if tried < 80 {
		t.Errorf("only %d bounds found in the CRD", tried)
	}
}

// many returns n different items, for lists that are sets or maps.
func many(item *apiextensionsv1.JSONSchemaProps, n int) []any {
	list := make([]any, n)
	for i := range list {
		list[i] = fmt.Sprintf("x%d", i)
		if item.Type == "object" {
			list[i] = map[string]any{"name": list[i]}
			if _, ok := item.Properties["name"]; !ok {
				list[i] = map[string]any{}
			}
		}
	}
	return list
}

// set sets a value at a path such as spec.list[0].field in an object.
func set(o map[string]any, path string, value any) {
	head, rest, more := strings.Cut(path, ".")
	name, isList := strings.CutSuffix(head, "[0]")
	next := value
	if more {
		next = map[string]any{}
		set(next.(map[string]any), rest, value)
	}
	if isList {
		next = []any{next}
	}
	o[name] = next
}

// foreign matches the fields whose types Kubernetes itself defines.
var foreign = regexp.MustCompile(`^(spec\.(env|envFrom|resources|podTemplate|scaling\.behavior)|status\.conditions\[0])`)

// TestEveryFieldIsDocumented: each field of the spec and the status has a description in the CRD,
// and docs/api.md, which is made from the CRD, has the field.
func TestEveryFieldIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "api.md"))
	if err != nil {
		t.Fatal(err)
	}
	fields := 0
	for _, part := range []string{"spec", "status"} {
		root := schema(t).Properties[part]
		walk(part, &root, func(path string, n *apiextensionsv1.JSONSchemaProps) {
			if path == part || strings.HasSuffix(path, "[0]") {
				return
			}
			fields++
			if n.Description == "" {
				t.Errorf("%s has no description", path)
			}
			// For types that Kubernetes itself defines, the page refers to Kubernetes' reference.
			row := "| `" + strings.ReplaceAll(strings.TrimPrefix(path, part+"."), "[0]", "[]")
			if !foreign.MatchString(path) && !strings.Contains(string(page), row) {
				t.Errorf("docs/api.md has no row %s", row)
			}
		})
	}
	if fields < 60 {
		t.Errorf("only %d fields found in the CRD", fields)
	}
}
