package docs

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// TestDeploymentOfThePodsPage: the Deployment that docs/pods.md shows is the one that the operator
// makes of the pool above it. UPDATE_GOLDEN=1 rewrites it.
func TestDeploymentOfThePodsPage(t *testing.T) {
	t.Parallel()
	const file = "docs/pods.md"
	page := read(t, file)
	example := regexp.MustCompile("(?s)<!-- pool of the example -->\n```yaml\n(.*?)```").FindStringSubmatch(page)
	if example == nil {
		t.Fatal("no pool on the page")
	}
	var pool v1alpha1.GearmanWorkerPool
	if err := yaml.UnmarshalStrict([]byte(example[1]), &pool); err != nil {
		t.Fatal(err)
	}
	pool.Namespace, pool.UID, pool.Spec.Concurrency = "jobs", "(the pool's uid)", 1 // as the API server has them
	deployment, err := workload.Deployment(
		&pool, workload.RuntimeImage{Image: "registry.example.com/gearman-operator:0.1.0", PullPolicy: "IfNotPresent"},
	)
	if err != nil {
		t.Fatal(err)
	}
	data, err := yaml.Marshal(deployment)
	if err != nil {
		t.Fatal(err)
	}
	// Hashes and zero times mean nothing to a reader.
	text := regexp.MustCompile("gearman.dev/template-inputs: [0-9a-f]+").ReplaceAllString(
		string(data), "gearman.dev/template-inputs: (a hash of the pool's fields)",
	)
	text = strings.ReplaceAll(text, "      creationTimestamp: null\n", "")

	const begin, end = "<!-- deployment of the example: made from the code; a test holds them together -->\n", "<!-- /deployment -->"
	head, rest, ok := strings.Cut(page, begin)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatal("the page has no place for the Deployment")
	}
	want := head + begin + "<!-- yaml: an object of the operator's -->\n```yaml\n" + text + "```\n" + end + tail
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(root+"/"+file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, page); diff != "" {
		t.Errorf(
			"%s is not what the operator makes; run UPDATE_GOLDEN=1 go test ./test/docs (-want +got):\n%s", file, diff,
		)
	}
}
