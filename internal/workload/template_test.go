package workload

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

func testPool(mutate ...func(*v1alpha1.GearmanWorkerPoolSpec)) *v1alpha1.GearmanWorkerPool {
	p := &v1alpha1.GearmanWorkerPool{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "u"},
		Spec: v1alpha1.GearmanWorkerPoolSpec{
			Servers: []v1alpha1.ServerAddress{"a", "b:1"}, Function: "f", Image: "i:1", Concurrency: 2, MaxReplicas: 10,
			Runtime: &v1alpha1.RuntimeSpec{Exec: &v1alpha1.ExecRuntime{Command: []string{"/bin/cat", "-"}}, JobTimeoutSeconds: new(int32(60))},
		},
	}
	for _, m := range mutate {
		m(&p.Spec)
	}
	return p
}

var testRuntime = RuntimeImage{Image: "op:1", PullPolicy: corev1.PullIfNotPresent, PullSecrets: []string{"s"}}

func raw(json string) *runtime.RawExtension { return &runtime.RawExtension{Raw: []byte(json)} }

func TestRuntimeCommand(t *testing.T) {
	t.Parallel()
	common := []string{"--server=a", "--server=b:1", "--function=f", "--concurrency=2", "--drain-timeout=85s", "--job-timeout=60s"}
	tests := map[string]struct {
		mutate func(*v1alpha1.GearmanWorkerPoolSpec)
		mode   string
		args   []string
	}{
		"exec": {func(*v1alpha1.GearmanWorkerPoolSpec) {}, "exec", slices.Concat(common, []string{"--", "/bin/cat", "-"})},
		"stream": {func(s *v1alpha1.GearmanWorkerPoolSpec) {
			s.Runtime.Exec, s.Runtime.Stream, s.Runtime.MaxJobs = nil, &v1alpha1.StreamRuntime{Command: []string{"php", "w.php"}}, new(int32(9))
		}, "stream", slices.Concat(common, []string{"--stream-max-jobs=9", "--", "php", "w.php"})},
		"http": {func(s *v1alpha1.GearmanWorkerPoolSpec) {
			s.Runtime.Exec, s.Runtime.HTTP, s.Runtime.OnCrash = nil, &v1alpha1.HTTPRuntime{URL: "http://x/"}, v1alpha1.CrashRequeue
		}, "http", slices.Concat(common, []string{"--on-crash=requeue", "--", "http://x/"})},
		"TLS": {func(s *v1alpha1.GearmanWorkerPoolSpec) {
			s.TLS = &v1alpha1.TLSSpec{CASecret: &v1alpha1.SecretKey{Name: "ca"}, ClientCertificateSecret: "cc", ServerName: "g"}
		}, "exec", slices.Concat(common, []string{
			"--tls", "--tls-ca=/gearman-tls/ca.crt", "--tls-cert=/gearman-tls/tls.crt", "--tls-key=/gearman-tls/tls.key", "--tls-server-name=g", "--", "/bin/cat", "-",
		})},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command, args := runtimeCommand(testPool(tt.mutate))
			if diff := cmp.Diff([]string{"/gearman/gearman-worker", tt.mode}, command); diff != "" {
				t.Error(diff)
			}
			end := slices.Index(tt.args, "--")
			if diff := cmp.Diff(slices.Insert(tt.args, end, "--listen=:4790"), args); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPodTemplate(t *testing.T) {
	t.Parallel()
	pool := testPool(func(s *v1alpha1.GearmanWorkerPoolSpec) {
		s.Env = []corev1.EnvVar{{Name: "A", Value: "1"}}
		s.PodTemplate = raw(`{"metadata":{"labels":{"team":"x"}},"spec":{"nodeSelector":{"disk":"ssd"},
			"containers":[{"name":"sidecar","image":"s"},{"name":"worker","volumeMounts":[{"name":"v","mountPath":"/v"}]}],"volumes":[{"name":"v","emptyDir":{}}]}}`)
	})
	got, err := podTemplate(pool, testRuntime)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"team": "x", "gearman.dev/pool": "p", "app.kubernetes.io/managed-by": "gearman-operator"}, got.Labels); diff != "" {
		t.Error(diff)
	}
	if *got.Spec.TerminationGracePeriodSeconds != 90 || got.Spec.NodeSelector["disk"] != "ssd" || *got.Spec.EnableServiceLinks || *got.Spec.AutomountServiceAccountToken {
		t.Errorf("pod spec: %+v", got.Spec)
	}
	if len(got.Spec.Containers) != 2 || got.Spec.Containers[1].Name != "worker" {
		t.Fatalf("containers: %+v", got.Spec.Containers)
	}
	w := got.Spec.Containers[1]
	var mounts, env []string
	for _, m := range w.VolumeMounts {
		mounts = append(mounts, m.MountPath)
	}
	for _, e := range w.Env {
		env = append(env, e.Name)
	}
	if diff := cmp.Diff([]string{"/v", "/gearman"}, mounts); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"GEARMAN_WORKER_POD_UID", "GEARMAN_WORKER_POD_NAME", "A"}, env); diff != "" {
		t.Error(diff)
	}
	if w.Image != "i:1" || w.ReadinessProbe == nil || w.LivenessProbe != nil || *w.SecurityContext.AllowPrivilegeEscalation {
		t.Errorf("worker container: %+v", w)
	}
	if got := strings.Join(w.Lifecycle.PreStop.Exec.Command, " "); got != "/gearman/gearman-worker await-stoppable" {
		t.Errorf("before SIGTERM it runs %q", got)
	}
	init := got.Spec.InitContainers[0]
	if init.Image != "op:1" || strings.Join(init.Command, " ") != "/gearman-worker install /gearman" || !*init.SecurityContext.RunAsNonRoot {
		t.Errorf("init container: %+v", init)
	}
	if got.Spec.ImagePullSecrets[0].Name != "s" || got.Spec.Volumes[1].EmptyDir.Medium != corev1.StorageMediumMemory {
		t.Errorf("pod spec: %+v", got.Spec)
	}
	if len(got.Annotations) != 0 {
		t.Errorf("a drain of 90 s needs no protection from autoscalers, got %v", got.Annotations)
	}
}

// A preStop hook of the user's takes the place of the operator's.
func TestPodTemplateKeepsHooks(t *testing.T) {
	t.Parallel()
	got, err := podTemplate(testPool(func(s *v1alpha1.GearmanWorkerPoolSpec) {
		s.PodTemplate = raw(`{"spec":{"containers":[{"name":"worker","lifecycle":{"preStop":{"sleep":{"seconds":3}},"postStart":{"exec":{"command":["/warm"]}}}}]}}`)
	}), testRuntime)
	if err != nil {
		t.Fatal(err)
	}
	if l := got.Spec.Containers[0].Lifecycle; l.PreStop.Exec != nil || l.PreStop.Sleep.Seconds != 3 || l.PostStart.Exec.Command[0] != "/warm" {
		t.Errorf("got %+v", l)
	}
}

func TestPodTemplateOfImageThatSpeaksGearman(t *testing.T) {
	t.Parallel()
	got, err := podTemplate(testPool(func(s *v1alpha1.GearmanWorkerPoolSpec) {
		s.Runtime, s.Command, s.Args = nil, []string{"php"}, []string{"worker.php"}
	}), testRuntime)
	if err != nil {
		t.Fatal(err)
	}
	w := got.Spec.Containers[0]
	if len(got.Spec.InitContainers) != 0 || w.ReadinessProbe != nil || w.Lifecycle != nil || w.Command[0] != "php" || w.Args[0] != "worker.php" {
		t.Errorf("got %+v", got.Spec)
	}
	// 3600 s of drain is long enough for the node autoscalers to be told.
	if got.Annotations["karpenter.sh/do-not-disrupt"] != "true" || got.Annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] != "false" {
		t.Errorf("annotations: %v", got.Annotations)
	}
}

func TestPodTemplateRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ template, want string }{
		"unknown field":      {`{"spec":{"nodeSelektor":{}}}`, `unknown field "spec.nodeSelektor"`},
		"wrong type":         {`{"spec":{"nodeSelector":3}}`, "nodeSelector"},
		"our label":          {`{"metadata":{"labels":{"gearman.dev/pool":"other"}}}`, "is the operator's"},
		"restart policy":     {`{"spec":{"restartPolicy":"Never"}}`, "restartPolicy must be Always"},
		"grace period":       {`{"spec":{"terminationGracePeriodSeconds":5}}`, "set by drainSeconds (90)"},
		"another image":      {`{"spec":{"containers":[{"name":"worker","image":"x"}]}}`, "image is the pool's spec.image"},
		"a command":          {`{"spec":{"containers":[{"name":"worker","command":["x"]}]}}`, "command is the runtime's"},
		"nameless container": {`{"spec":{"containers":[{"image":"x"}]}}`, "each container needs a name"},
		"init container":     {`{"spec":{"initContainers":[{"name":"gearman-worker-install"}]}}`, "is the operator's"},
		"volume":             {`{"spec":{"volumes":[{"name":"gearman-worker"}]}}`, "is the operator's"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := podTemplate(testPool(func(s *v1alpha1.GearmanWorkerPoolSpec) { s.PodTemplate = raw(tt.template) }), testRuntime)
			if !errors.Is(err, ErrInvalidPodTemplate) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an invalid podTemplate with %q", err, tt.want)
			}
		})
	}
}

// TestTemplateInputs: what pods are made from changes the hash, what only steers their number does not.
func TestTemplateInputs(t *testing.T) {
	t.Parallel()
	base, err := Inputs(testPool())
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		mutate  func(*v1alpha1.GearmanWorkerPoolSpec)
		changes bool
	}{
		"image":        {func(s *v1alpha1.GearmanWorkerPoolSpec) { s.Image = "i:2" }, true},
		"concurrency":  {func(s *v1alpha1.GearmanWorkerPoolSpec) { s.Concurrency = 3 }, true},
		"servers":      {func(s *v1alpha1.GearmanWorkerPoolSpec) { s.Servers = s.Servers[:1] }, true},
		"drain":        {func(s *v1alpha1.GearmanWorkerPoolSpec) { s.DrainSeconds = new(int32(99)) }, true},
		"default said": {func(s *v1alpha1.GearmanWorkerPoolSpec) { s.DrainSeconds = new(int32(90)) }, false},
		"max":          {func(s *v1alpha1.GearmanWorkerPoolSpec) { s.MaxReplicas = 99 }, false},
		"scaling":      {func(s *v1alpha1.GearmanWorkerPoolSpec) { s.Scaling = &v1alpha1.ScalingSpec{Mode: v1alpha1.ModePaused} }, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Inputs(testPool(tt.mutate))
			if err != nil {
				t.Fatal(err)
			}
			if (got != base) != tt.changes {
				t.Errorf("changed = %v, want %v", got != base, tt.changes)
			}
		})
	}
}
