package poolfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/policy"
)

const (
	apiVersion = "gearman.dev/v1alpha1"
	kind       = "GearmanWorkerPool"
	// DefaultNamespace is the namespace of a pool that names none.
	DefaultNamespace = "default"
)

// Content is what a file holds.
type Content struct {
	Pools []v1alpha1.GearmanWorkerPool
	// Skipped are the kinds of the documents that are not pools.
	Skipped []string
}

// Options are what is accepted.
type Options struct {
	// NoImage accepts a pool with neither image nor targetRef: without a cluster, nothing needs
	// them.
	NoImage bool
}

// Read reads the pools of a file.
func Read(name string, o Options) (Content, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return Content{}, err
	}
	content, err := Parse(data, o)
	if err != nil {
		return Content{}, fmt.Errorf("%s: %w", name, err)
	}
	return content, nil
}

var separator = regexp.MustCompile(`(?m)^---([ \t].*)?$`)

// Parse reads the pools of YAML documents. All documents are checked before an error is returned;
// it has a line for each problem.
func Parse(data []byte, o Options) (Content, error) {
	var content Content
	var errs []error
	for i, document := range separator.Split(string(data), -1) {
		if len(bytes.TrimSpace([]byte(document))) == 0 || onlyComments(document) {
			continue
		}
		pool, other, err := parseDocument([]byte(document), o)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("document %d: %w", i+1, err))
		case other != "":
			content.Skipped = append(content.Skipped, other)
		default:
			content.Pools = append(content.Pools, *pool)
		}
	}
	if len(errs) > 0 {
		return Content{}, errors.Join(errs...)
	}
	return content, nil
}

func onlyComments(document string) bool {
	return !slices.ContainsFunc(strings.Split(document, "\n"), func(line string) bool {
		line = strings.TrimSpace(line)
		return line != "" && !strings.HasPrefix(line, "#")
	})
}

// parseDocument returns the pool, or the kind of a document that is none.
func parseDocument(document []byte, o Options) (pool *v1alpha1.GearmanWorkerPool, other string, err error) {
	raw, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return nil, "", err
	}
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, "", errors.New("it is not an object with apiVersion, kind, metadata and spec")
	}
	switch {
	case fields["kind"] != kind:
		found, _ := fields["kind"].(string)
		if found == "" {
			return nil, "", fmt.Errorf("it has no kind: a pool has apiVersion: %s and kind: %s", apiVersion, kind)
		}
		return nil, found, nil
	case fields["apiVersion"] != apiVersion:
		return nil, "", fmt.Errorf("apiVersion: %v is not known: write %s", fields["apiVersion"], apiVersion)
	}
	if err := check(fields, o); err != nil {
		return nil, "", err
	}
	// With the defaults that check has filled in.
	if raw, err = json.Marshal(fields); err != nil {
		return nil, "", err
	}
	pool = &v1alpha1.GearmanWorkerPool{}
	if err := yaml.UnmarshalStrict(raw, pool); err != nil {
		return nil, "", err
	}
	if pool.Namespace == "" {
		pool.Namespace = DefaultNamespace
	}
	if _, err := policy.Compile(&pool.Spec); err != nil {
		return nil, "", fmt.Errorf("%s: spec.%w", pool.Name, err)
	}
	return pool, "", nil
}

var (
	label     = `[a-z0-9]([-a-z0-9]*[a-z0-9])?`
	nameForm  = regexp.MustCompile(`^` + label + `(\.` + label + `)*$`)
	namespace = regexp.MustCompile(`^` + label + `$`)
)

// check fills in the defaults and returns an API server's errors about the pool.
func check(fields map[string]any, o Options) error {
	s, err := poolSchema()
	if err != nil {
		return err
	}
	s.setDefaults(fields)
	var errs []error
	name, _ := get(fields, "metadata", "name").(string)
	switch {
	case name == "":
		errs = append(errs, errors.New("metadata.name: Required value: give the pool a name"))
	case !nameForm.MatchString(name) || len(name) > 253:
		errs = append(
			errs,
			fmt.Errorf(
				"metadata.name: Invalid value: %q: use lower-case letters, digits, '-' and '.', and begin and end with a letter or digit",
				name,
			),
		)
	}
	if space, _ := get(fields, "metadata", "namespace").(string); space != "" &&
		(!namespace.MatchString(space) || len(space) > 63) {
		errs = append(
			errs, fmt.Errorf("metadata.namespace: Invalid value: %q: use lower-case letters, digits and '-'", space),
		)
	}
	if get(fields, "spec") == nil {
		errs = append(errs, errors.New("spec: Required value"))
	} else {
		errs = append(errs, s.check("", fields)...)
	}
	if o.NoImage {
		errs = slices.DeleteFunc(errs, func(err error) bool {
			broken, ok := errors.AsType[*ruleError](err)
			return ok && broken.rule == ruleImage && !has(fields, "spec", "image")
		})
	}
	if len(errs) > 0 && name != "" {
		return fmt.Errorf("pool %s: %w", name, errors.Join(errs...))
	}
	return errors.Join(errs...)
}
