package apiserver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/gearman-operator/gearman-operator/internal/importer"
)

// TestImport: the API server accepts the importer's output for other managers' configurations
// unchanged, with no unknown field.
func TestImport(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	strict := client.WithFieldValidation(k8s, "Strict")
	tried := 0
	for _, pattern := range []string{"gearmanmanager/*.ini", "gearmanmanager/*.json", "supervisor/*.conf"} {
		files, err := filepath.Glob(filepath.Join("..", "..", "internal", "importer", "testdata", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			r, err := importer.Import(data, importer.Options{File: filepath.Base(file)})
			if err != nil {
				t.Fatal(err)
			}
			out, err := r.YAML()
			if err != nil {
				t.Fatal(err)
			}
			tried++
			for document := range strings.SplitSeq(string(out), "\n---\n") {
				u := &unstructured.Unstructured{}
				if err := yaml.Unmarshal([]byte(document), &u.Object); err != nil {
					t.Fatal(err)
				}
				u.SetNamespace(ns)
				if err := strict.Create(t.Context(), u, client.DryRunAll); err != nil {
					t.Errorf("%s: %v\n%s", file, err, document)
				}
			}
		}
	}
	if tried < 20 {
		t.Errorf("%d configurations only", tried)
	}
}
