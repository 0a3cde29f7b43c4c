package clusterscripts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTarget checks which cluster a command uses, and that it is never one that the user didn't
// name.
func TestTarget(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cluster   string
		installed []string
		want      string
		wantErr   string
	}{
		"asked for kind":                {cluster: "kind", installed: []string{"kind"}, want: "kind"},
		"asked for kind, not installed": {cluster: "kind", wantErr: "there is no kind on PATH"},
		"asked for the current context": {cluster: "current", installed: []string{"kind"}, want: "current"},
		"asked for local, not possible": {
			cluster: "local", installed: []string{"kind"}, wantErr: "CLUSTER=local does not work here: it needs Linux",
		},
		"unset, local not possible, kind": {installed: []string{"kind"}, want: "kind"},
		"unset, neither": {
			installed: []string{"kubectl"}, wantErr: "install kind, or set CLUSTER=current",
		},
		"asked for what there isn't": {
			cluster: "minikube", wantErr: "CLUSTER=minikube: use local, kind or current",
		},
		"asked for the current, no kubectl": {cluster: "current", want: "current"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, tt.installed...)
			got, stderr, calls, ok := m.run("CLUSTER="+tt.cluster, "target.sh", "name")
			if ok != (tt.wantErr == "") || got != tt.want || !strings.Contains(stderr, tt.wantErr) {
				t.Errorf("got %q, success %v, %q; want %q or an error with %q", got, ok, stderr, tt.want, tt.wantErr)
			}
			if len(calls) > 0 {
				t.Errorf("to say a name it called %q", calls)
			}
		})
	}
}

func TestKubeconfig(t *testing.T) {
	t.Parallel()
	m := newMachine(t, "kind")
	for _, tt := range []struct{ env, want string }{
		{"CLUSTER=kind", filepath.Join(m.cache, "cluster/kind.kubeconfig")},
		{"CLUSTER=", filepath.Join(m.cache, "cluster/kind.kubeconfig")},
		{"CLUSTER=current", filepath.Join(m.getenv("HOME"), ".kube/config")},
	} {
		if got, stderr, _, ok := m.run(tt.env, "target.sh", "kubeconfig"); !ok || got != tt.want {
			t.Errorf("%s: got %q, %s, want %q", tt.env, got, stderr, tt.want)
		}
	}
	// The user's own kubeconfig is used only if the current context was requested.
	if got, _, _, _ := m.run("CLUSTER=current", "KUBECONFIG=/mine", "target.sh", "kubeconfig"); got != "/mine" {
		t.Errorf("CLUSTER=current with KUBECONFIG: got %q", got)
	}
	if got, _, _, _ := m.run(
		"CLUSTER=kind", "KUBECONFIG=/mine", "target.sh", "kubeconfig",
	); strings.Contains(got, "/mine") {
		t.Errorf("CLUSTER=kind with KUBECONFIG: got %q", got)
	}
	want := "export KUBECONFIG=" + filepath.Join(m.cache, "cluster/kind.kubeconfig")
	if got, _, _, _ := m.run("CLUSTER=kind", "target.sh", "hint"); got != want {
		t.Errorf("hint: got %q, want %q", got, want)
	}
	if _, stderr, _, ok := m.run("target.sh", "nonsense"); ok || !strings.Contains(stderr, "name, kubeconfig, hint") {
		t.Errorf("an unknown question: success %v, %q", ok, stderr)
	}
}

// TestKind tests the life of kind's cluster: it is created once, found again even if its kubeconfig
// was lost or belongs to another cluster, loaded with images, and deleted any number of times.
// Other kind clusters are left alone.
func TestKind(t *testing.T) {
	t.Parallel()
	m := newMachine(t, "kind")
	config := filepath.Join(m.cache, "cluster/kind.kubeconfig")
	archive := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(archive, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	list, export := "kind get clusters", "kind export kubeconfig --name gearman-operator --kubeconfig "+config
	create := "kind create cluster --name gearman-operator --kubeconfig " + config + " --wait 120s"
	load := "kind load image-archive --name gearman-operator " + archive
	for _, step := range []struct {
		what   string
		before func()
		script []string
		calls  []string
	}{
		{what: "up", script: []string{"up.sh"}, calls: []string{list, create}},
		{what: "up again", script: []string{"up.sh"}, calls: []string{list, export}},
		{
			what: "up without its kubeconfig", before: func() { _ = os.Remove(config) }, script: []string{"up.sh"},
			calls: []string{list, export},
		},
		{what: "load two", script: []string{"load-image.sh", archive, archive}, calls: []string{load, load}},
		{
			what: "down", script: []string{"down.sh"},
			calls: []string{"kind delete cluster --name gearman-operator --kubeconfig " + config},
		},
		{
			what: "down again", script: []string{"down.sh"},
			calls: []string{"kind delete cluster --name gearman-operator --kubeconfig " + config},
		},
		{what: "up from nothing", script: []string{"up.sh"}, calls: []string{list, create}},
	} {
		if step.before != nil {
			step.before()
		}
		stdout, stderr, calls, ok := m.run(append([]string{"CLUSTER=kind"}, step.script...)...)
		if diff := cmp.Diff(step.calls, calls); diff != "" || !ok {
			t.Fatalf("%s: success %v, %q (-want +got):\n%s", step.what, ok, stderr, diff)
		}
		if step.script[0] == "up.sh" {
			if got, err := os.ReadFile(config); err != nil || string(got) != "kind: Config # of gearman-operator\n" {
				t.Errorf("%s: the kubeconfig holds %q, %v", step.what, got, err)
			}
			if stdout != "export KUBECONFIG="+config {
				t.Errorf("%s: it prints %q", step.what, stdout)
			}
		}
	}
	clusters, err := os.ReadFile(m.getenv(clustersEnv))
	if err != nil || !strings.Contains(string(clusters), "other\n") {
		t.Errorf("another cluster was touched: %q, %v", clusters, err)
	}
}

// TestKindFails: if kind itself fails, as it does without a container engine, the scripts fail too
// and print its output.
func TestKindFails(t *testing.T) {
	t.Parallel()
	m := newMachine(t, "kind")
	if err := os.Remove(m.getenv(clustersEnv)); err != nil {
		t.Fatal(err)
	}
	for _, script := range []string{"up.sh", "down.sh"} {
		if _, stderr, _, ok := m.run("CLUSTER=kind", script); ok ||
			!strings.Contains(stderr, "failed to list clusters") {
			t.Errorf("%s: success %v, %q", script, ok, stderr)
		}
	}
	m = newMachine(t, "kind") // runs, but has no cluster of ours
	archive := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(archive, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, _, ok := m.run("CLUSTER=kind", "load-image.sh", archive); ok ||
		!strings.Contains(stderr, "could not locate") {
		t.Errorf("load without a cluster: success %v, %q", ok, stderr)
	}
	if _, stderr, calls, ok := m.run("CLUSTER=kind", "load-image.sh", archive+".missing"); ok || len(calls) > 0 ||
		!strings.Contains(stderr, "no such file") {
		t.Errorf("load of what isn't there: success %v, %q, calls %q", ok, stderr, calls)
	}
	if _, stderr, calls, ok := m.run("CLUSTER=kind", "load-image.sh"); ok || len(calls) > 0 ||
		!strings.Contains(stderr, "ARCHIVE") {
		t.Errorf("load of nothing: success %v, %q, calls %q", ok, stderr, calls)
	}
}

// TestCurrent: with the user's own context no cluster is created or deleted, and an image is loaded
// in the way of whatever runs the cluster.
func TestCurrent(t *testing.T) {
	t.Parallel()
	m := newMachine(t, "kind", "kubectl", "minikube", "k3d")
	for _, script := range []string{"up.sh", "down.sh"} {
		_, stderr, calls, ok := m.run("CLUSTER=current", script)
		if !ok || len(calls) > 0 || !strings.Contains(stderr, "CLUSTER=current") {
			t.Errorf("%s: success %v, %q, calls %q", script, ok, stderr, calls)
		}
	}
	archive := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(archive, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m.clusters("mine")
	for context, want := range map[string]string{
		"kind-mine": "kind load image-archive --name mine " + archive,
		"minikube":  "minikube image load " + archive,
		"k3d-mine":  "k3d image import --cluster mine " + archive,
		"prod":      "",
	} {
		_, stderr, calls, ok := m.run("CLUSTER=current", contextEnv+"="+context, "load-image.sh", archive)
		wantCalls := []string{"kubectl config current-context"}
		if want != "" {
			wantCalls = append(wantCalls, want)
		}
		if diff := cmp.Diff(wantCalls, calls); diff != "" || !ok {
			t.Errorf("context %s: success %v, %q (-want +got):\n%s", context, ok, stderr, diff)
		}
		if want == "" && !strings.Contains(stderr, "images can't be loaded into the context prod") {
			t.Errorf("context %s: it says %q", context, stderr)
		}
	}
}
