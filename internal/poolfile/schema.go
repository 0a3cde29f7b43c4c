package poolfile

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"sigs.k8s.io/yaml"

	"github.com/gearman-operator/gearman-operator/config/crd"
)

// schema is the part of an OpenAPI schema that CRDs of this project use.
type schema struct {
	Type        string             `json:"type"`
	Format      string             `json:"format"`
	Properties  map[string]*schema `json:"properties"`
	Additional  *schema            `json:"additionalProperties"`
	Items       *schema            `json:"items"`
	Required    []string           `json:"required"`
	Enum        []any              `json:"enum"`
	Default     any                `json:"default"`
	Pattern     string             `json:"pattern"`
	Minimum     *float64           `json:"minimum"`
	Maximum     *float64           `json:"maximum"`
	MinLength   *int               `json:"minLength"`
	MaxLength   *int               `json:"maxLength"`
	MinItems    *int               `json:"minItems"`
	MaxItems    *int               `json:"maxItems"`
	IntOrString bool               `json:"x-kubernetes-int-or-string"`
	Preserve    bool               `json:"x-kubernetes-preserve-unknown-fields"`
	ListType    string             `json:"x-kubernetes-list-type"`
	ListMapKeys []string           `json:"x-kubernetes-list-map-keys"`
	Rules       []rule             `json:"x-kubernetes-validations"`
}

// rule is a CEL rule of the CRD.
type rule struct {
	Rule      string `json:"rule"`
	Message   string `json:"message"`
	FieldPath string `json:"fieldPath"`
}

// ruleError means that a rule is violated.
type ruleError struct{ rule, path, message string }

func (e *ruleError) Error() string {
	if e.path == "" {
		return e.message
	}
	return e.path + ": Invalid value: " + e.message
}

// poolSchema is the schema of a pool, from the CRD.
var poolSchema = sync.OnceValues(func() (*schema, error) {
	var definition struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPI *schema `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(crd.YAML, &definition); err != nil {
		return nil, fmt.Errorf("read the CRD: %w", err)
	}
	if len(definition.Spec.Versions) == 0 || definition.Spec.Versions[0].Schema.OpenAPI == nil {
		return nil, errors.New("read the CRD: it has no schema")
	}
	return definition.Spec.Versions[0].Schema.OpenAPI, nil
})

// setDefaults fills in the defaults of an object's fields. A null for a field with a default counts
// as unset.
func (s *schema) setDefaults(value any) {
	switch v := value.(type) {
	case map[string]any:
		for name, field := range s.Properties {
			if v[name] == nil && field.Default != nil {
				v[name] = field.Default
			}
			if v[name] != nil {
				field.setDefaults(v[name])
			}
		}
	case []any:
		if s.Items != nil {
			for _, item := range v {
				s.Items.setDefaults(item)
			}
		}
	}
}

// check returns what is wrong with a value. Rules are only evaluated on values of the right shape.
func (s *schema) check(path string, value any) []error {
	var errs []error
	switch {
	case s.IntOrString:
		_, isText := value.(string)
		if !isText && !isInteger(value) {
			return []error{wrongType(path, "integer or string", value)}
		}
		errs = s.checkText(path, fmt.Sprint(value))
	case s.Type == "object":
		v, ok := value.(map[string]any)
		if !ok {
			return []error{wrongType(path, s.Type, value)}
		}
		errs = s.checkObject(path, v)
	case s.Type == "array":
		v, ok := value.([]any)
		if !ok {
			return []error{wrongType(path, s.Type, value)}
		}
		errs = s.checkArray(path, v)
	case s.Type == "string":
		v, ok := value.(string)
		if !ok {
			return []error{wrongType(path, s.Type, value)}
		}
		errs = s.checkText(path, v)
	case s.Type == "integer" || s.Type == "number":
		v, ok := value.(float64)
		if !ok || s.Type == "integer" && !isInteger(value) {
			return []error{wrongType(path, s.Type, value)}
		}
		errs = s.checkNumber(path, v)
	case s.Type == "boolean":
		if _, ok := value.(bool); !ok {
			return []error{wrongType(path, s.Type, value)}
		}
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, value) {
		errs = append(
			errs,
			fmt.Errorf("%s: Unsupported value: %q: supported values: %s", path, fmt.Sprint(value), joinQuoted(s.Enum)),
		)
	}
	if len(errs) > 0 {
		return errs
	}
	for _, r := range s.Rules {
		if holds := twinOf(r.Rule); holds != nil && !holds(value) {
			errs = append(
				errs, &ruleError{rule: r.Rule, path: strings.TrimPrefix(path+r.FieldPath, "."), message: r.Message},
			)
		}
	}
	return errs
}

func (s *schema) checkObject(path string, v map[string]any) []error {
	var errs []error
	for _, name := range s.Required {
		if v[name] == nil {
			errs = append(errs, fmt.Errorf("%s: Required value", join(path, name)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		field := s.Properties[name]
		if field == nil {
			field = s.Additional
		}
		switch {
		case field != nil && v[name] == nil && slices.Contains(s.Required, name): // it was reported above
		case field != nil:
			errs = append(errs, field.check(join(path, name), v[name])...)
		case !s.Preserve && s.Properties != nil: // the CRD leaves metadata open
			errs = append(errs, fmt.Errorf("unknown field %q", join(path, name)))
		}
	}
	return errs
}

func (s *schema) checkArray(path string, v []any) []error {
	var errs []error
	if s.MinItems != nil && len(v) < *s.MinItems {
		errs = append(
			errs, fmt.Errorf("%s: Invalid value: %d: should have at least %d items", path, len(v), *s.MinItems),
		)
	}
	if s.MaxItems != nil && len(v) > *s.MaxItems {
		errs = append(errs, fmt.Errorf("%s: Too many: %d: must have at most %d items", path, len(v), *s.MaxItems))
	}
	seen := map[string]bool{}
	for i, item := range v {
		at := fmt.Sprintf("%s[%d]", path, i)
		errs = append(errs, s.Items.check(at, item)...)
		if key, unique := s.keyOf(item); unique {
			if seen[key] {
				errs = append(errs, fmt.Errorf("%s: Duplicate value: %q", at, key))
			}
			seen[key] = true
		}
	}
	return errs
}

// keyOf is the key of a list item that must be unique, if there is one.
func (s *schema) keyOf(item any) (key string, unique bool) {
	switch s.ListType {
	case "set":
		return fmt.Sprint(item), true
	case "map":
		fields, ok := item.(map[string]any)
		if !ok {
			return "", false
		}
		for _, name := range s.ListMapKeys {
			key += fmt.Sprint(fields[name]) + "\x00"
		}
		return strings.TrimSuffix(key, "\x00"), true
	}
	return "", false
}

func (s *schema) checkText(path, v string) []error {
	var errs []error
	length := utf8.RuneCountInString(v)
	if s.MinLength != nil && length < *s.MinLength {
		errs = append(
			errs, fmt.Errorf("%s: Invalid value: %q: should be at least %d chars long", path, v, *s.MinLength),
		)
	}
	if s.MaxLength != nil && length > *s.MaxLength {
		errs = append(errs, fmt.Errorf("%s: Too long: may not be more than %d bytes", path, *s.MaxLength))
	}
	if s.Pattern != "" {
		if ok, err := regexp.MatchString(s.Pattern, v); err != nil || !ok {
			errs = append(errs, fmt.Errorf("%s: Invalid value: %q: should match %q", path, v, s.Pattern))
		}
	}
	return errs
}

func (s *schema) checkNumber(path string, v float64) []error {
	var errs []error
	if s.Minimum != nil && v < *s.Minimum {
		errs = append(
			errs, fmt.Errorf("%s: Invalid value: %v: should be greater than or equal to %v", path, v, *s.Minimum),
		)
	}
	if s.Maximum != nil && v > *s.Maximum {
		errs = append(
			errs, fmt.Errorf("%s: Invalid value: %v: should be less than or equal to %v", path, v, *s.Maximum),
		)
	}
	if s.Format == "int32" && (v < math.MinInt32 || v > math.MaxInt32) {
		errs = append(errs, fmt.Errorf("%s: Invalid value: %v: does not fit into 32 bits", path, v))
	}
	return errs
}

func isInteger(value any) bool {
	v, ok := value.(float64)
	return ok && v == math.Trunc(v)
}

func wrongType(path, want string, value any) error {
	return fmt.Errorf("%s: Invalid value: %s must be of type %s", path, describe(value), want)
}

func describe(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case string:
		return fmt.Sprintf("the text %q", v)
	default:
		return fmt.Sprint(v)
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func joinQuoted(values []any) string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = fmt.Sprintf("%q", fmt.Sprint(v))
	}
	return strings.Join(all, ", ")
}
