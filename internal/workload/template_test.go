package workload

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

func testPool(mutate ...func(*v1alpha1.GearmanWorkerPoolSpec)) *v1alpha1.GearmanWorkerPool {
	p := &v1alpha1.GearmanWorkerPool{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "u"},
		Spec: v1alpha1.GearmanWorkerPoolSpec{
			Servers: []v1alpha1.ServerAddress{"a", "b:1"}, Function: "f", Image: "i:1", Concurrency: 2, MaxReplicas: 10,
			Runtime: &v1alpha1.RuntimeSpec{
				Exec: &v1alpha1.ExecRuntime{Command: []string{"/bin/cat", "-"}}, JobTimeoutSeconds: new(int32(60)),
			},
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
	common := []string{
		"--server=a", "--server=b:1", "--function=f", "--concurrency=2", "--drain-timeout=85s", "--job-timeout=60s",
	}
	tests := map[string]struct {
		mutate func(*v1alpha1.GearmanWorkerPoolSpec)
		mode   string
		args   []string
	}{
		"exec": {
			func(*v1alpha1.GearmanWorkerPoolSpec) {}, "exec", slices.Concat(common, []string{"--", "/bin/cat", "-"}),
		},
		"stream": {func(s *v1alpha1.GearmanWorkerPoolSpec) {
			s.Runtime.Exec, s.Runtime.Stream = nil, &v1alpha1.StreamRuntime{
				Command: []string{"php", "w.php"}, MaxJobs: new(int32(9)), MaxLifetimeSeconds: new(int32(3600)),
				MaxMemory: new(resource.MustParse("256Mi")),
			}
		}, "stream", slices.Concat(
			common,
			[]string{"--stream-max-jobs=9", "--max-lifetime=3600s", "--max-memory=268435456", "--", "php", "w.php"},
		)},
		"retry": {func(s *v1alpha1.GearmanWorkerPoolSpec) {
			s.Runtime.Retry = &v1alpha1.RetrySpec{}
		}, "exec", slices.Concat(common, []string{
			"--retry-attempts=5", "--retry-backoff=10s", "--retry-max-backoff=600s", "--", "/bin/cat", "-",
		})},
		"retry in full": {func(s *v1alpha1.GearmanWorkerPoolSpec) {
			s.Runtime.Retry = &v1alpha1.RetrySpec{
				Attempts: new(int32(3)), BackoffSeconds: new(int32(1)), MaxBackoffSeconds: new(int32(2)),
				OnTimeout: v1alpha1.TimeoutRetry, DeadLetterFunction: "dead",
			}
		}, "exec", slices.Concat(common, []string{
			"--retry-attempts=3", "--retry-backoff=1s", "--retry-max-backoff=2s", "--retry-timeouts",
			"--dead-letter-function=dead", "--", "/bin/cat", "-",
		})},
		"http": {func(s *v1alpha1.GearmanWorkerPoolSpec) {
			s.Runtime.Exec, s.Runtime.HTTP, s.Runtime.OnCrash = nil, &v1alpha1.HTTPRuntime{
				URL: "http://x/",
			}, v1alpha1.CrashRequeue
		}, "http", slices.Concat(common, []string{"--on-crash=requeue", "--", "http://x/"})},
		"TLS": {func(s *v1alpha1.GearmanWorkerPoolSpec) {
			s.TLS = &v1alpha1.TLSSpec{
				CASecret: &v1alpha1.SecretKey{Name: "ca"}, ClientCertificateSecret: "cc", ServerName: "g",
			}
		}, "exec", slices.Concat(common, []string{
			"--tls", "--tls-ca=/gearman-tls/ca.crt", "--tls-cert=/gearman-tls/tls.crt",
			"--tls-key=/gearman-tls/tls.key", "--tls-server-name=g", "--", "/bin/cat", "-",
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
			if diff := cmp.Diff(
				slices.Insert(tt.args, end, "--listen=:4790", "--journal-dir=/gearman-journal"), args,
			); diff != "" {
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
	if diff := cmp.Diff(
		map[string]string{"team": "x", "gearman.dev/pool": "p", "app.kubernetes.io/managed-by": "gearman-operator"},
		got.Labels,
	); diff != "" {
		t.Error(diff)
	}
	if *got.Spec.TerminationGracePeriodSeconds != 90 || got.Spec.NodeSelector["disk"] != "ssd" ||
		*got.Spec.EnableServiceLinks || *got.Spec.AutomountServiceAccountToken {
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
	if diff := cmp.Diff([]string{"/v", "/gearman", "/gearman-journal"}, mounts); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"GEARMAN_WORKER_POD_UID", "GEARMAN_WORKER_POD_NAME", "A"}, env); diff != "" {
		t.Error(diff)
	}
	if w.Image != "i:1" || w.ReadinessProbe == nil || w.LivenessProbe != nil ||
		*w.SecurityContext.AllowPrivilegeEscalation {
		t.Errorf("worker container: %+v", w)
	}
	if got := strings.Join(w.Lifecycle.PreStop.Exec.Command, " "); got != "/gearman/gearman-worker await-stoppable" {
		t.Errorf("before SIGTERM it runs %q", got)
	}
	init := got.Spec.InitContainers[0]
	if init.Image != "op:1" || strings.Join(init.Command, " ") != "/gearman-worker install /gearman" ||
		!*init.SecurityContext.RunAsNonRoot {
		t.Errorf("init container: %+v", init)
	}
	if got.Spec.ImagePullSecrets[0].Name != "s" || got.Spec.Volumes[1].EmptyDir.Medium != corev1.StorageMediumMemory {
		t.Errorf("pod spec: %+v", got.Spec)
	}
	if len(got.Annotations) != 0 {
		t.Errorf("a drain of 90 s needs no protection from autoscalers, got %v", got.Annotations)
	}
}

// A preStop hook of the user's replaces the operator's.
func TestMaxJobServersOfWorkers(t *testing.T) {
	t.Parallel()
	for servers, want := range map[int]string{0: "", 9: "9"} {
		rt := testRuntime
		rt.MaxServers = servers
		got, err := podTemplate(testPool(), rt)
		if err != nil {
			t.Fatal(err)
		}
		value := ""
		for _, e := range got.Spec.Containers[0].Env {
			if e.Name == "GEARMAN_WORKER_MAX_JOB_SERVERS" {
				value = e.Value
			}
		}
		if value != want {
			t.Errorf("%d job servers: %q, want %q", servers, value, want)
		}
	}
}

func TestPodTemplateKeepsHooks(t *testing.T) {
	t.Parallel()
	got, err := podTemplate(testPool(func(s *v1alpha1.GearmanWorkerPoolSpec) {
		s.PodTemplate = raw(`{"spec":{"containers":[{"name":"worker","lifecycle":{"preStop":{"sleep":{"seconds":3}},"postStart":{"exec":{"command":["/warm"]}}}}]}}`)
	}), testRuntime)
	if err != nil {
		t.Fatal(err)
	}
	if l := got.Spec.Containers[0].Lifecycle; l.PreStop.Exec != nil || l.PreStop.Sleep.Seconds != 3 ||
		l.PostStart.Exec.Command[0] != "/warm" {
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
	if len(got.Spec.InitContainers) != 0 || w.ReadinessProbe != nil || w.Lifecycle != nil || w.Command[0] != "php" ||
		w.Args[0] != "worker.php" {
		t.Errorf("got %+v", got.Spec)
	}
	if got := *got.Spec.TerminationGracePeriodSeconds; got != 300 {
		t.Errorf("the grace period is %d s", got)
	}
	env := map[string]string{}
	for _, e := range w.Env {
		env[e.Name] = e.Value
		if e.ValueFrom != nil {
			env[e.Name] = e.ValueFrom.FieldRef.FieldPath
		}
	}
	want := map[string]string{
		"GEARMAN_SERVERS": "a,b:1", "GEARMAN_FUNCTIONS": "f", "GEARMAN_WORKER_POD_UID": "metadata.uid",
		"GEARMAN_WORKER_POD_NAME": "metadata.name",
	}
	if diff := cmp.Diff(want, env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

// Node autoscalers are held off only if the user set a long drain: an idle pod with a long default
// would pin its node for nothing.
func TestDoNotDisrupt(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		mutate func(*v1alpha1.GearmanWorkerPoolSpec)
		want   bool
	}{
		"a default":        {func(s *v1alpha1.GearmanWorkerPoolSpec) { s.Runtime.JobTimeoutSeconds = nil }, false},
		"no runtime":       {func(s *v1alpha1.GearmanWorkerPoolSpec) { s.Runtime = nil }, false},
		"a long drain":     {func(s *v1alpha1.GearmanWorkerPoolSpec) { s.DrainSeconds = new(int32(601)) }, true},
		"a drain of 600 s": {func(s *v1alpha1.GearmanWorkerPoolSpec) { s.DrainSeconds = new(int32(600)) }, false},
		"a long job timeout": {
			func(s *v1alpha1.GearmanWorkerPoolSpec) { s.Runtime.JobTimeoutSeconds = new(int32(1200)) }, true,
		},
		"long, without runtime": {
			func(s *v1alpha1.GearmanWorkerPoolSpec) { s.Runtime, s.DrainSeconds = nil, new(int32(7200)) }, true,
		},
	}
	for name, tt := range tests {
		got, err := podTemplate(testPool(tt.mutate), testRuntime)
		if err != nil {
			t.Fatal(err)
		}
		karpenter, autoscaler := got.Annotations["karpenter.sh/do-not-disrupt"], got.Annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"]
		if tt.want != (karpenter == "true") || tt.want != (autoscaler == "false") {
			t.Errorf("%s: annotations %v", name, got.Annotations)
		}
	}
}

// The user's variables replace the operator's: a name must not be twice in a list that is keyed by
// it.
func TestEnvOfTheUserWins(t *testing.T) {
	t.Parallel()
	for name, mutate := range map[string]func(*v1alpha1.GearmanWorkerPoolSpec){
		"runtime":    func(*v1alpha1.GearmanWorkerPoolSpec) {},
		"no runtime": func(s *v1alpha1.GearmanWorkerPoolSpec) { s.Runtime = nil },
	} {
		got, err := podTemplate(testPool(mutate, func(s *v1alpha1.GearmanWorkerPoolSpec) {
			s.Env = []corev1.EnvVar{
				{Name: "GEARMAN_SERVERS", Value: "mine"},
				{Name: "GEARMAN_FUNCTIONS", Value: "mine"},
				{Name: "GEARMAN_WORKER_POD_UID", Value: "mine"},
			}
		}), testRuntime)
		if err != nil {
			t.Fatal(err)
		}
		count := map[string]int{}
		for _, e := range got.Spec.Containers[0].Env {
			count[e.Name]++
			if e.Name != "GEARMAN_WORKER_POD_NAME" && e.Value != "mine" {
				t.Errorf("%s: %s is %q", name, e.Name, e.Value)
			}
		}
		if diff := cmp.Diff(
			map[string]int{
				"GEARMAN_SERVERS": 1, "GEARMAN_FUNCTIONS": 1, "GEARMAN_WORKER_POD_UID": 1, "GEARMAN_WORKER_POD_NAME": 1,
			},
			count,
		); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A quota or LimitRange that admits the worker admits the install container.
func TestInstallResources(t *testing.T) {
	t.Parallel()
	list := func(pairs ...string) corev1.ResourceList {
		l := corev1.ResourceList{}
		for i := 0; i < len(pairs); i += 2 {
			l[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
		}
		return l
	}
	tests := map[string]struct{ worker, want corev1.ResourceRequirements }{
		"nothing said": {
			want: corev1.ResourceRequirements{
				Requests: list("cpu", "10m", "memory", "64Mi"), Limits: list("memory", "64Mi"),
			},
		},
		"the worker's": {
			worker: corev1.ResourceRequirements{
				Requests: list("cpu", "1", "memory", "1Gi"),
				Limits:   list("cpu", "2", "memory", "2Gi", "ephemeral-storage", "1Gi"),
			},
			want: corev1.ResourceRequirements{
				Requests: list("cpu", "1", "memory", "1Gi"),
				Limits:   list("cpu", "2", "memory", "2Gi", "ephemeral-storage", "1Gi"),
			},
		},
		"devices are the worker's alone": {
			worker: corev1.ResourceRequirements{Limits: list("nvidia.com/gpu", "1", "cpu", "2")},
			want:   corev1.ResourceRequirements{Limits: list("cpu", "2")},
		},
		"a tiny worker": {
			worker: corev1.ResourceRequirements{Limits: list("memory", "16Mi")},
			want:   corev1.ResourceRequirements{Limits: list("memory", "64Mi")},
		},
	}
	for name, tt := range tests {
		got, err := podTemplate(
			testPool(func(s *v1alpha1.GearmanWorkerPoolSpec) { s.Resources = &tt.worker }), testRuntime,
		)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got.Spec.InitContainers[0].Resources); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(tt.worker, got.Spec.Containers[0].Resources); diff != "" {
			t.Errorf("%s: the worker's resources changed (-want +got):\n%s", name, diff)
		}
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
			_, err := podTemplate(
				testPool(func(s *v1alpha1.GearmanWorkerPoolSpec) { s.PodTemplate = raw(tt.template) }), testRuntime,
			)
			if !errors.Is(err, ErrInvalidPodTemplate) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an invalid podTemplate with %q", err, tt.want)
			}
		})
	}
}

// TestPodTemplateRefusesDuplicates: an entry of a list that the API server merges by a key must be
// unique, wherever it comes from.
func TestPodTemplateRefusesDuplicates(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ template, want string }{
		"env of the pool's too":     {`{"spec":{"containers":[{"name":"worker","env":[{"name":"A","value":"2"}]}]}}`, "spec.containers[worker].env: A appears twice"},
		"a mount of the operator's": {`{"spec":{"containers":[{"name":"worker","volumeMounts":[{"name":"v","mountPath":"/gearman"}]}],"volumes":[{"name":"v"}]}}`, "spec.containers[worker].volumeMounts: /gearman appears"},
		"the operator's port":       {`{"spec":{"containers":[{"name":"worker","ports":[{"containerPort":4790}]}]}}`, "spec.containers[worker].ports: 4790/TCP appears"},
		"three containers":          {`{"spec":{"containers":[{"name":"x","image":"i"},{"name":"x","image":"i"},{"name":"x","image":"i"}]}}`, "spec.containers: x appears"},
		"init containers":           {`{"spec":{"initContainers":[{"name":"x","image":"i"},{"name":"x","image":"i"}]}}`, "spec.initContainers: x appears"},
		"volumes":                   {`{"spec":{"volumes":[{"name":"v"},{"name":"v"}]}}`, "spec.volumes: v appears"},
		"pull secrets":              {`{"spec":{"imagePullSecrets":[{"name":"x"},{"name":"x"}]}}`, "spec.imagePullSecrets: x appears"},
		"devices":                   {`{"spec":{"containers":[{"name":"worker","volumeDevices":[{"name":"v","devicePath":"/d"},{"name":"w","devicePath":"/d"}]}]}}`, "volumeDevices: /d appears"},
		"host aliases":              {`{"spec":{"hostAliases":[{"ip":"10.0.0.1"},{"ip":"10.0.0.1"}]}}`, "spec.hostAliases: 10.0.0.1 appears"},
		"spread":                    {`{"spec":{"topologySpreadConstraints":[{"topologyKey":"z","whenUnsatisfiable":"DoNotSchedule"},{"topologyKey":"z","whenUnsatisfiable":"DoNotSchedule"}]}}`, "z with DoNotSchedule appears"},
		"claims":                    {`{"spec":{"resourceClaims":[{"name":"x"},{"name":"x"}]}}`, "spec.resourceClaims: x appears"},
		"gates":                     {`{"spec":{"schedulingGates":[{"name":"x"},{"name":"x"}]}}`, "spec.schedulingGates: x appears"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := podTemplate(testPool(func(s *v1alpha1.GearmanWorkerPoolSpec) {
				s.Env, s.PodTemplate = []corev1.EnvVar{{Name: "A", Value: "1"}}, raw(tt.template)
			}), testRuntime)
			if !errors.Is(err, ErrInvalidPodTemplate) || strings.Count(err.Error(), tt.want) != 1 {
				t.Errorf("got %v, want an invalid podTemplate with %q once", err, tt.want)
			}
		})
	}
	// A pull secret that the operator adds too is no mistake of the user.
	got, err := podTemplate(testPool(func(s *v1alpha1.GearmanWorkerPoolSpec) {
		s.PodTemplate = raw(`{"spec":{"imagePullSecrets":[{"name":"s"}]}}`)
	}), testRuntime)
	if err != nil || len(got.Spec.ImagePullSecrets) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

// TestTemplateInputs: fields that determine pods change the hash, fields that only determine their
// number don't.
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
		"scaling": {
			func(s *v1alpha1.GearmanWorkerPoolSpec) { s.Scaling = &v1alpha1.ScalingSpec{Mode: v1alpha1.ModePaused} },
			false,
		},
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
