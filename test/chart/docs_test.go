package chart

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var yamlBlock = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")

// pools returns all GearmanWorkerPools that a reader may copy: from Markdown, samples and examples.
func pools(t *testing.T) map[string][]*unstructured.Unstructured {
	t.Helper()
	found := map[string][]*unstructured.Unstructured{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.HasPrefix(name, ".") ||
			name == "build" || name == "crd" || name == "files" || name == "templates"):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(name) != ".md" && filepath.Ext(name) != ".yaml" ||
			name == "Chart.yaml": // its example is a text in it
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		documents := []string{string(data)}
		if filepath.Ext(path) == ".md" {
			documents = nil
			for _, block := range yamlBlock.FindAllStringSubmatch(string(data), -1) {
				documents = append(documents, block[1])
			}
		}
		for _, document := range documents {
			if !strings.Contains(document, "kind: GearmanWorkerPool") {
				continue
			}
			for _, object := range decodeAll(t, document) {
				if object.GetKind() == "GearmanWorkerPool" {
					found[path] = append(found[path], object)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// testPoolsOfTheDocs has the API server check every pool that the docs show, including for unknown
// fields.
func testPoolsOfTheDocs(t *testing.T, api client.Client) {
	all := pools(t)
	if len(all) < 5 {
		t.Errorf("pools found in %d files only", len(all))
	}
	strict := client.WithFieldValidation(api, "Strict")
	for path, objects := range all {
		for _, object := range objects {
			object.SetNamespace("default")
			if err := strict.Create(t.Context(), object.DeepCopy(), client.DryRunAll); err != nil {
				t.Errorf("%s: %v", strings.TrimPrefix(path, root+"/"), err)
			}
		}
	}
}
