package chart

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

const (
	root      = "../.."
	chartPath = root + "/charts/gearman-operator"
	release   = "gearman-operator"
	namespace = "gearman-system"
)

// helm runs helm and returns what it wrote to its standard output and standard error.
func helm(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	binary := os.Getenv("HELM")
	if binary == "" {
		found, err := exec.LookPath("helm")
		if err != nil {
			t.Skip("helm is not installed: run make test, which builds it")
		}
		binary = found
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// render renders the chart, without its test, with more arguments for helm template.
func render(t *testing.T, args ...string) []*unstructured.Unstructured {
	t.Helper()
	args = append([]string{"template", release, chartPath, "--namespace", namespace, "--skip-tests"}, args...)
	stdout, stderr, err := helm(t, args...)
	if err != nil {
		t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, stderr)
	}
	return decodeAll(t, stdout)
}

func decodeAll(t *testing.T, manifests string) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifests), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		switch {
		case errors.Is(err, io.EOF):
			return objects
		case err != nil:
			t.Fatal(err)
		case len(object.Object) > 0:
			objects = append(objects, object)
		}
	}
}

func kinds(objects []*unstructured.Unstructured) map[string]int {
	count := map[string]int{}
	for _, object := range objects {
		count[object.GetKind()]++
	}
	return count
}

// find returns the only object of a kind and name, as the typed object T. Unknown fields are an
// error.
func find[T any](t *testing.T, objects []*unstructured.Unstructured, kind, name string) *T {
	t.Helper()
	var found *unstructured.Unstructured
	for _, object := range objects {
		if object.GetKind() == kind && (name == "" || object.GetName() == name) {
			if found != nil {
				t.Fatalf("two objects %s %s", kind, name)
			}
			found = object
		}
	}
	if found == nil {
		t.Fatalf("no %s %s among %v", kind, name, kinds(objects))
	}
	typed := new(T)
	data, err := json.Marshal(found)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(typed); err != nil {
		t.Fatalf("%s %s: %v", kind, name, err)
	}
	return typed
}

// ciValues returns the values files with which the chart is linted, by file name.
func ciValues(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(chartPath + "/ci/*-values.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no values files: %v", err)
	}
	return files
}
