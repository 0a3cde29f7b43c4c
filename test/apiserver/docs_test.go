package apiserver

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/options"
)

// A ```yaml block has one or more whole objects, unless a comment just before it says which part of
// which object it is.
var (
	yamlBlock = regexp.MustCompile("(?ms)^(?:<!-- yaml: ([^\n]*) -->\n)?```ya?ml\n(.*?)^```$")
	anyBlock  = regexp.MustCompile("(?m)^ *```ya?ml")
)

const (
	partOfPool   = "part of a pool"
	partOfSpec   = "part of a pool's spec"
	partOfBox    = "part of a container"
	runtimesFile = "configuration of gearman-worker"
	// These blocks are not for the API server; test/docs and test/chart try the first two.
	kustomization = "a kustomization"
	chartValues   = "values of the chart"
	foreignObject = "an object of another project"
	ownObject     = "an object of the operator's" // with content that only it knows
)

// TestEveryYAML applies every manifest of the docs and the examples, in a namespace for each file.
// The API server accepts it with no unknown field, and the operator finds nothing wrong with the
// pools in it.
func TestEveryYAML(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	files := 0
	for _, part := range []string{
		"README.md", "SECURITY.md", "CONTRIBUTING.md", "docs", "examples", "charts/gearman-operator/README.md",
		filepath.Join("config", "samples"), "gearman",
	} {
		err := filepath.WalkDir(filepath.Join(root, part), func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil || entry.IsDir():
				return err
			case entry.Name() == "kustomization.yaml": // applied by the chart's tests
				return nil
			case entry.Name() == "compose.yaml": // no kind of Kubernetes; the tests of the examples read it
				return nil
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, _ := filepath.Rel(root, path)
			switch filepath.Ext(path) {
			case ".yaml":
				files++
				t.Run(name, func(t *testing.T) { t.Parallel(); applyAll(t, string(data), "") })
			case ".md":
				blocks := yamlBlock.FindAllStringSubmatch(string(data), -1)
				if n := len(anyBlock.FindAllString(string(data), -1)); n != len(blocks) {
					t.Errorf("%s has %d blocks of YAML, of which %d are understood: begin them at the start of a line, with ```yaml alone", name, n, len(blocks))
				}
				if len(blocks) == 0 {
					return nil
				}
				files++
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					for _, b := range blocks {
						applyAll(t, b[2], b[1])
					}
				})
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 15 {
		t.Errorf("YAML found in %d files only", files)
	}
}

// applyAll applies the objects of a text to a namespace of its own. If the text is only part of an
// object, part names the kind of part.
func applyAll(t *testing.T, text, part string) {
	t.Helper()
	ns := namespace(t)
	if part == runtimesFile {
		env := options.Environment{
			Lookup:   func(string) (string, bool) { return "", false },
			ReadFile: func(string) ([]byte, error) { return []byte(text), nil },
		}
		if _, err := options.Parse(options.RunMode, []string{"--config=worker.yaml"}, env); err != nil {
			t.Errorf("the worker refuses it: %v\n%s", err, text)
		}
		return
	}
	if part == kustomization || part == chartValues || part == foreignObject || part == ownObject {
		if err := yaml.Unmarshal([]byte(text), &map[string]any{}); err != nil {
			t.Errorf("no YAML: %v\n%s", err, text)
		}
		return
	}
	strict := client.WithFieldValidation(k8s, "Strict")
	for document := range strings.SplitSeq(text, "\n---\n") {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &u.Object); err != nil {
			t.Errorf("no YAML: %v\n%s", err, document)
			continue
		}
		switch part {
		case "":
		case partOfPool:
			u.Object = whole(u.Object["spec"].(map[string]any))
		case partOfSpec:
			u.Object = whole(u.Object)
		case partOfBox:
			u.Object["name"] = "worker"
			template := map[string]any{"spec": map[string]any{"containers": []any{u.Object}}}
			u.Object = whole(map[string]any{"podTemplate": template})
		default:
			t.Errorf("%q is no part that this test knows", part)
		}
		if u.GetKind() == "" || u.GetAPIVersion() == "" {
			t.Errorf(
				"no whole object; where it is a part, say so before the block: <!-- yaml: %s -->\n%s", partOfSpec,
				document,
			)
			continue
		}
		u.SetNamespace(ns)
		if err := strict.Apply(
			t.Context(), client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("reader"),
			client.ForceOwnership,
		); err != nil {
			t.Errorf("%v\n%s", err, document)
			continue
		}
		if u.GetKind() == "GearmanWorkerPool" {
			p := &v1alpha1.GearmanWorkerPool{}
			p.Namespace, p.Name = ns, u.GetName()
			// The objects that a manifest refers to may be missing.
			NewWithT(t).Eventually(condition(t, p, v1alpha1.ConditionStalled), eventually).Should(
				BeElementOf("False AsExpected", "True TargetNotFound", "True InvalidTLS"), document)
		}
	}
}

// whole returns a pool with these fields of its spec, and the other required ones.
func whole(spec map[string]any) map[string]any {
	full := map[string]any{"servers": []any{"gearmand"}, "function": "f", "image": "i"}
	maps.Copy(full, spec)
	return map[string]any{
		"apiVersion": "gearman.dev/v1alpha1", "kind": "GearmanWorkerPool", "metadata": map[string]any{"name": "part"},
		"spec": full,
	}
}
