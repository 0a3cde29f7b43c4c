package kubectlgearman

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// Pools are changed on a real API server, with the validation of the real CRD.
func TestPools(t *testing.T) {
	t.Parallel()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Skip("no API server to test with: run make test, which builds it")
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	environment := &envtest.Environment{
		CRDDirectoryPaths: []string{"../../config/crd/bases"}, ErrorIfCRDPathMissing: true,
	}
	config, err := environment.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			t.Error(err)
		}
	})
	api, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	admin, err := environment.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := admin.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, data, 0o600); err != nil {
		t.Fatal(err)
	}
	plugin := func(args ...string) (string, error) {
		out, _, err := run(t, "", append(args, "--kubeconfig", kubeconfig, "--cache-dir", filepath.Dir(kubeconfig))...)
		return out, err
	}

	pool := &v1alpha1.GearmanWorkerPool{
		ObjectMeta: metav1.ObjectMeta{Name: "resize", Namespace: "default"},
		Spec: v1alpha1.GearmanWorkerPoolSpec{
			Servers: []v1alpha1.ServerAddress{"gearmand"}, Function: "resize", Image: "resize:1", Concurrency: 1,
			MaxReplicas: 5,
			Scaling:     &v1alpha1.ScalingSpec{TargetWaitSeconds: new(int32(7))},
		},
	}
	if err := api.Create(t.Context(), pool); err != nil {
		t.Fatal(err)
	}

	// One after the other: each starts from the previous result.
	steps := []struct {
		args []string
		out  string
		want v1alpha1.ScalingSpec
	}{
		{
			[]string{"scale", "resize", "--replicas", "3"},
			"scaled to 3",
			v1alpha1.ScalingSpec{Mode: v1alpha1.ModeManual, ManualReplicas: new(int32(3))},
		},
		{
			[]string{"scale", "resize", "--replicas", "0"},
			"scaled to 0",
			v1alpha1.ScalingSpec{Mode: v1alpha1.ModeManual, ManualReplicas: new(int32(0))},
		},
		{[]string{"pause", "resize"}, "paused", v1alpha1.ScalingSpec{Mode: v1alpha1.ModePaused}},
		{[]string{"resume", "resize"}, "resumed", v1alpha1.ScalingSpec{Mode: v1alpha1.ModeAuto}},
	}
	for _, step := range steps {
		out, err := plugin(step.args...)
		if err != nil {
			t.Fatal(err)
		}
		if want := "gearmanworkerpool.gearman.dev/resize " + step.out + "\n"; out != want {
			t.Errorf("%v printed %q, want %q", step.args, out, want)
		}
		if err := api.Get(t.Context(), client.ObjectKeyFromObject(pool), pool); err != nil {
			t.Fatal(err)
		}
		step.want.TargetWaitSeconds = new(int32(7)) // what the command doesn't name stays
		if diff := cmp.Diff(&step.want, pool.Spec.Scaling); diff != "" {
			t.Errorf("after %v (-want +got):\n%s", step.args, diff)
		}
	}

	out, err := plugin("explain", "resize")
	if err != nil || !strings.Contains(out, "Pool default/resize") {
		t.Errorf("explain: %v\n%s", err, out)
	}
	out, _, err = run(
		t, "", "__complete", "explain", "--kubeconfig", kubeconfig, "--cache-dir", filepath.Dir(kubeconfig), "",
	)
	if err != nil || !strings.HasPrefix(out, "resize\n") {
		t.Errorf("completion: %v\n%s", err, out)
	}
	// It reads the pools' status, so it needs no operator.
	if out, err := plugin("top", "--once"); err != nil || !strings.Contains(out, "resize") {
		t.Errorf("top: %v\n%s", err, out)
	}
	checkPage(t, api, "--kubeconfig", kubeconfig, "--cache-dir", filepath.Dir(kubeconfig))
	for name, args := range map[string][]string{
		"pause of no pool": {"pause", "gone"}, "explain of no pool": {"explain", "gone"},
		"status of no pool":    {"status", "pool/gone"},
		"status of no Service": {"status", "svc/gone"},
	} {
		if _, err := plugin(args...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A number outside the pool's bounds is reported: a pool with a minimum can't be stopped in this
// way.
func TestOutOfBounds(t *testing.T) {
	t.Parallel()
	night := []v1alpha1.Schedule{
		{Name: "night", Start: "0 22 * * *", TimeZone: "UTC", DurationSeconds: 3600, MinReplicas: new(int32(3))},
	}
	tests := map[string]struct {
		replicas  int32
		schedules []v1alpha1.Schedule
		want      string
	}{
		"the minimum": {replicas: 2},
		"the maximum": {replicas: 5},
		"less":        {want: "The pool keeps 2 replicas: to get 0, lower spec.minReplicas, or the schedule that raises it."},
		"more": {
			replicas: 6,
			want:     "The pool gets 5 replicas only: to get 6, raise spec.maxReplicas, or the schedule that lowers it.",
		},
		"less than a schedule has": {
			replicas: 2, schedules: night,
			want: "The pool keeps 3 replicas: to get 2, lower spec.minReplicas, or the schedule that raises it.",
		},
		"a schedule that can't be read": {schedules: []v1alpha1.Schedule{{Name: "x", Start: "0 25 * * *"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := &v1alpha1.GearmanWorkerPoolSpec{
				MinReplicas: 2, MaxReplicas: 5, Scaling: &v1alpha1.ScalingSpec{Schedules: tt.schedules},
			}
			if got := outOfBounds(spec, tt.replicas, time.Date(2026, 1, 2, 22, 30, 0, 0, time.UTC)); got != tt.want {
				t.Errorf("outOfBounds = %q\nwant          %q", got, tt.want)
			}
		})
	}
}
