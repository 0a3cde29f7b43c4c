package kubectlgearman

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/gearman-operator/gearman-operator/internal/workload"
)

func TestRender(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pools.yaml")
	if err := os.WriteFile(file, []byte(`apiVersion: gearman.dev/v1alpha1
kind: GearmanWorkerPool
metadata: {name: resize, namespace: jobs}
spec:
  servers: [gearmand]
  function: resize
  image: example.com/resize
  runtime: {exec: {command: [resize]}}
---
apiVersion: gearman.dev/v1alpha1
kind: GearmanWorkerPool
metadata: {name: old}
spec: {servers: [gearmand], function: old, targetRef: {kind: Deployment, name: legacy}}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	pools, err := checkFiles(&bytes.Buffer{}, []string{file})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := render(&out, pools, "example.com/operator:1"); err != nil {
		t.Fatal(err)
	}
	first, second, _ := strings.Cut(strings.TrimPrefix(out.String(), "---\n"), "---\n")
	var d appsv1.Deployment
	if err := yaml.UnmarshalStrict([]byte(first), &d); err != nil {
		t.Fatalf("%v in\n%s", err, first)
	}
	pod := d.Spec.Template.Spec
	if d.Name != "resize" || d.Namespace != "jobs" || d.Spec.Replicas != nil || d.OwnerReferences != nil ||
		pod.Containers[0].Image != "example.com/resize" || pod.InitContainers[0].Image != "example.com/operator:1" {
		t.Errorf("got\n%s", first)
	}
	if want := "# Pool old has no Deployment of its own: it scales the Deployment legacy.\n"; second != want {
		t.Errorf("got %q, want %q", second, want)
	}

	pools[0].Spec.PodTemplate = &runtime.RawExtension{Raw: []byte(`{"spec":{"contaners":[]}}`)}
	if err := render(&out, pools[:1], "i"); !errors.Is(err, workload.ErrInvalidPodTemplate) ||
		!strings.Contains(err.Error(), "pool resize") {
		t.Errorf("a template that can't be used: %v", err)
	}
	if err := render(failingWriter{}, pools[1:], "i"); err == nil {
		t.Error("a write that fails is not reported")
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("full") }
