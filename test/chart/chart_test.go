package chart

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func TestKinds(t *testing.T) {
	t.Parallel()
	base := map[string]int{
		"ServiceAccount": 1, "CustomResourceDefinition": 1, "ClusterRole": 5, "ClusterRoleBinding": 2, "Role": 1,
		"RoleBinding": 1,
		"Service":     1, "Deployment": 1, "ValidatingAdmissionPolicy": 2, "ValidatingAdmissionPolicyBinding": 2,
	}
	with := func(changes map[string]int) map[string]int {
		all := map[string]int{}
		maps.Copy(all, base)
		for kind, n := range changes {
			if all[kind] += n; all[kind] == 0 {
				delete(all, kind)
			}
		}
		return all
	}
	tests := map[string]struct {
		set  string
		want map[string]int
	}{
		"defaults":       {want: base},
		"no CRD":         {set: "crds.install=false", want: with(map[string]int{"CustomResourceDefinition": -1})},
		"two replicas":   {set: "replicas=2", want: with(map[string]int{"PodDisruptionBudget": 1})},
		"no budget":      {set: "replicas=2,podDisruptionBudget.enabled=false", want: base},
		"network policy": {set: "networkPolicy.enabled=true", want: with(map[string]int{"NetworkPolicy": 1})},
		"service monitor": {
			set: "metrics.serviceMonitor.enabled=true", want: with(map[string]int{"ServiceMonitor": 1}),
		},
		"pod monitor": {
			set:  "metrics.podMonitor.enabled=true,metrics.podMonitor.tokenSecret.name=t,metrics.service.enabled=false",
			want: with(map[string]int{"PodMonitor": 1, "Service": -1}),
		},
		"alerts":    {set: "prometheusRule.enabled=true", want: with(map[string]int{"PrometheusRule": 1})},
		"dashboard": {set: "dashboard.enabled=true", want: with(map[string]int{"ConfigMap": 1})},
		"two namespaces": {
			set:  "watchNamespaces={a,b}",
			want: with(map[string]int{"ClusterRole": -1, "ClusterRoleBinding": -1, "Role": 2, "RoleBinding": 2}),
		},
		"no admission policy": {
			set:  "admissionPolicy.enabled=false",
			want: with(map[string]int{"ValidatingAdmissionPolicy": -1, "ValidatingAdmissionPolicyBinding": -1}),
		},
		"no policy on the operator": {
			set:  "admissionPolicy.operator.enabled=false",
			want: with(map[string]int{"ValidatingAdmissionPolicy": -1, "ValidatingAdmissionPolicyBinding": -1}),
		},
		"metrics for everybody": {
			set: "metrics.secure=false", want: with(map[string]int{"ClusterRole": -2, "ClusterRoleBinding": -1}),
		},
		"no role of readers": {set: "metrics.reader.create=false", want: with(map[string]int{"ClusterRole": -1})},
		"a reader": {
			set:  "metrics.reader.subjects[0].kind=ServiceAccount,metrics.reader.subjects[0].name=p,metrics.reader.subjects[0].namespace=m",
			want: with(map[string]int{"ClusterRoleBinding": 1}),
		},
		"no leader election": {
			set: "leaderElection.enabled=false", want: with(map[string]int{"Role": -1, "RoleBinding": -1}),
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := kinds(render(t, "--set", tt.set))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("kinds (-want +got):\n%s", diff)
			}
		})
	}
}

// TestConsistency: with every values file selectors find the operator's pods, names and labels are
// in place, and all namespaced objects have a namespace.
func TestConsistency(t *testing.T) {
	t.Parallel()
	for _, file := range ciValues(t) {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			objects := render(t, "--values", file)
			deployment := find[appsv1.Deployment](t, objects, "Deployment", release)
			pod := labels.Set(deployment.Spec.Template.Labels)

			selectors := map[string]map[string]string{"Deployment": deployment.Spec.Selector.MatchLabels}
			count := kinds(objects)
			if count["Service"] > 0 {
				selectors["Service"] = find[corev1.Service](t, objects, "Service", "").Spec.Selector
			}
			if count["PodDisruptionBudget"] > 0 {
				selectors["PodDisruptionBudget"] = find[policyv1.PodDisruptionBudget](
					t, objects, "PodDisruptionBudget", "",
				).Spec.Selector.MatchLabels
			}
			if count["NetworkPolicy"] > 0 {
				selectors["NetworkPolicy"] = find[networkingv1.NetworkPolicy](
					t, objects, "NetworkPolicy", "",
				).Spec.PodSelector.MatchLabels
			}
			for kind, selector := range selectors {
				if len(selector) == 0 || !labels.SelectorFromSet(selector).Matches(pod) {
					t.Errorf("the selector of %s, %v, does not match the pod's labels %v", kind, selector, pod)
				}
			}

			clusterScoped := []string{
				"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "ValidatingAdmissionPolicy",
				"ValidatingAdmissionPolicyBinding",
			}
			for _, object := range objects {
				id := object.GetKind() + " " + object.GetName()
				if got := object.GetLabels()["app.kubernetes.io/managed-by"]; got != "Helm" {
					t.Errorf("%s: label managed-by = %q", id, got)
				}
				if namespaced := object.GetNamespace() != ""; namespaced == slices.Contains(
					clusterScoped, object.GetKind(),
				) {
					t.Errorf("%s: namespace = %q", id, object.GetNamespace())
				}
			}
		})
	}
}

func TestNamespacedInstallLeavesTheClusterAlone(t *testing.T) {
	t.Parallel()
	allowed := []string{namespace, "team-a", "team-b"}
	for _, object := range render(t, "--values", chartPath+"/ci/namespaced-values.yaml") {
		if !slices.Contains(allowed, object.GetNamespace()) {
			t.Errorf("%s %s is in namespace %q", object.GetKind(), object.GetName(), object.GetNamespace())
		}
	}
}

func TestDeployment(t *testing.T) {
	t.Parallel()
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	tests := map[string]struct {
		set   string
		image string
		args  []string // that must be present, the variable RUNTIME_IMAGE too
		not   []string // beginnings of arguments that must not
	}{
		"defaults": {
			image: "gearman-operator:0.1.0",
			args: []string{
				"--leader-elect=true", "RUNTIME_IMAGE=gearman-operator:0.1.0",
				"--runtime-image-pull-policy=IfNotPresent",
				"--runtime-rollout=OnTemplateChange", "--min-poll-seconds=1", "--foreign-functions=0",
				"--metrics-secure=true",
				"--max-job-servers-per-pool=256", "--max-job-servers-per-namespace=256",
				"--max-queues-per-namespace=16384", "--log-format=json",
				"--log-level=info",
			},
			not: []string{
				"--watch-namespaces", "--exclude-namespaces", "--runtime-image-pull-secrets", "--allowed-job-servers",
			},
		},
		"a tag": {
			set:   "image.repository=r.example.com/op,image.tag=2.0",
			image: "r.example.com/op:2.0",
			args:  []string{"RUNTIME_IMAGE=r.example.com/op:2.0"},
		},
		"a digest wins over a tag": {
			set:   "image.repository=r.example.com/op,image.tag=2.0,image.digest=" + digest,
			image: "r.example.com/op@" + digest,
			args:  []string{"RUNTIME_IMAGE=r.example.com/op@" + digest},
		},
		"an own runtime image": {
			set:   "runtime.image=r.example.com/rt:1,runtime.imagePullPolicy=Always,runtime.imagePullSecrets={a,b},runtime.rollout=Immediate",
			image: "gearman-operator:0.1.0",
			args: []string{
				"RUNTIME_IMAGE=r.example.com/rt:1", "--runtime-image-pull-policy=Always",
				"--runtime-image-pull-secrets=a,b",
				"--runtime-rollout=Immediate",
			},
		},
		"namespaces and job servers": {
			set:   "watchNamespaces={a,b},excludeNamespaces={c},allowedJobServers={10.0.0.0/8,gearmand.jobs.svc},minPollSeconds=5,metrics.foreignFunctions=100,metrics.secure=false,limits.jobServersPerPool=9,limits.jobServersPerNamespace=10,limits.queuesPerNamespace=11",
			image: "gearman-operator:0.1.0",
			args: []string{
				"--watch-namespaces=a,b", "--exclude-namespaces=c",
				"--allowed-job-servers=10.0.0.0/8,gearmand.jobs.svc", "--min-poll-seconds=5", "--foreign-functions=100",
				"--metrics-secure=false", "--max-job-servers-per-pool=9", "--max-job-servers-per-namespace=10",
				"--max-queues-per-namespace=11",
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			deployment := find[appsv1.Deployment](t, render(t, "--set", tt.set), "Deployment", release)
			container := deployment.Spec.Template.Spec.Containers[0]
			if container.Image != tt.image {
				t.Errorf("image = %s, want %s", container.Image, tt.image)
			}
			args := container.Args
			for _, env := range container.Env {
				args = append(args, env.Name+"="+env.Value)
			}
			for _, arg := range tt.args {
				if !slices.Contains(args, arg) {
					t.Errorf("the argument %s is missing in %v", arg, args)
				}
			}
			for _, prefix := range tt.not {
				if slices.ContainsFunc(
					container.Args, func(arg string) bool { return strings.HasPrefix(arg, prefix) },
				) {
					t.Errorf("the argument %s must not be among %v", prefix, container.Args)
				}
			}
		})
	}
}

// TestRestrictedPodSecurity: the operator's own pod is admitted in a namespace that enforces the
// restricted Pod Security Standard.
func TestRestrictedPodSecurity(t *testing.T) {
	t.Parallel()
	spec := find[appsv1.Deployment](t, render(t), "Deployment", release).Spec.Template.Spec
	if c := spec.SecurityContext; c == nil || !*c.RunAsNonRoot || *c.RunAsUser == 0 ||
		c.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("pod security context = %+v", c)
	}
	for _, container := range spec.Containers {
		c := container.SecurityContext
		if c == nil || *c.AllowPrivilegeEscalation || !*c.ReadOnlyRootFilesystem ||
			!slices.Equal(c.Capabilities.Drop, []corev1.Capability{"ALL"}) {
			t.Errorf("security context of %s = %+v", container.Name, c)
		}
	}
	if len(spec.Volumes) > 0 || spec.HostNetwork || spec.HostPID || spec.HostIPC {
		t.Errorf("the pod uses the host or volumes: %+v", spec)
	}
}

// TestHelmTest: the pod of helm test reaches the operator through the metrics Service, which must
// not select that pod as an operator.
func TestHelmTest(t *testing.T) {
	t.Parallel()
	service := find[corev1.Service](t, render(t), "Service", "")
	stdout, stderr, err := helm(
		t, "template", release, chartPath, "--namespace", namespace, "--show-only", "templates/tests/metrics.yaml",
	)
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	pod := find[corev1.Pod](t, decodeAll(t, stdout), "Pod", "")
	if pod.Annotations["helm.sh/hook"] != "test" {
		t.Errorf("annotations = %v", pod.Annotations)
	}
	want := []string{"probe", "https://" + service.Name + "." + namespace + ".svc:8080/metrics"}
	if diff := cmp.Diff(want, pod.Spec.Containers[0].Args); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	if labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(pod.Labels)) {
		t.Errorf("the Service selects the test's pod by %v", service.Spec.Selector)
	}
	if _, _, err := helm(
		t, "template", release, chartPath, "--set", "metrics.service.enabled=false", "--show-only",
		"templates/tests/metrics.yaml",
	); err == nil {
		t.Error("there is a test without the Service that it needs")
	}
}

func TestKeepingTheCRD(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		set, policy string
	}{
		"by default":  {policy: "keep"},
		"switched on": {set: "crds.keep=true", policy: "keep"},
		"not":         {set: "crds.keep=false"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, object := range render(t, "--set", tt.set) {
				if object.GetKind() != "CustomResourceDefinition" {
					continue
				}
				annotations := object.GetAnnotations()
				if got := annotations["helm.sh/resource-policy"]; got != tt.policy {
					t.Errorf("resource policy = %q, want %q", got, tt.policy)
				}
				if annotations["controller-gen.kubebuilder.io/version"] == "" {
					t.Error("the CRD lost the annotation of its generator")
				}
			}
		})
	}
}

// TestSchemaRefuses: the schema refuses values that would fail later, and reports their path.
func TestSchemaRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ set, want string }{
		"an unknown value":    {"replica=1", "replica"},
		"a nested typo":       {"image.digst=x", "digst"},
		"a wrong type":        {"replicas=many", "replicas"},
		"a broken digest":     {"image.digest=sha256:123", "digest"},
		"a bad namespace":     {"watchNamespaces={Team_A}", "watchNamespaces"},
		"a bad rollout":       {"runtime.rollout=Never", "rollout"},
		"a port out of range": {"networkPolicy.jobServerPorts={70000}", "jobServerPorts"},
		"a budget in words":   {"podDisruptionBudget.maxUnavailable=half", "maxUnavailable"},
		"an unknown alert": {
			"prometheusRule.enabled=true,prometheusRule.disabled={Nonsense}", "there is no alert Nonsense",
		},
		"pod monitor, no token": {"metrics.podMonitor.enabled=true", "metrics.podMonitor.tokenSecret.name"},
		"monitor, no service": {
			"metrics.serviceMonitor.enabled=true,metrics.service.enabled=false", "metrics.podMonitor",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, stderr, err := helm(t, "template", release, chartPath, "--set", tt.set)
			if err == nil {
				t.Fatalf("helm accepts %s", tt.set)
			}
			if !strings.Contains(stderr, tt.want) {
				t.Errorf("the message does not name %s:\n%s", tt.want, stderr)
			}
		})
	}
}

func TestNotes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ set, want, not string }{
		"defaults":            {want: "the pools of all namespaces", not: "Mind:"},
		"namespaces":          {set: "watchNamespaces={a,b}", want: "the pools of a, b", not: "Mind:"},
		"the CRD goes too":    {set: "crds.keep=false", want: "deletes every GearmanWorkerPool"},
		"no admission policy": {set: "admissionPolicy.enabled=false", want: "may run any pod"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stdout, stderr, err := helm(
				t, "install", release, chartPath, "--namespace", namespace, "--dry-run=client", "--set", tt.set,
			)
			if err != nil {
				t.Fatalf("%v\n%s", err, stderr)
			}
			if !strings.Contains(stdout, tt.want) {
				t.Errorf("the notes lack %q", tt.want)
			}
			if tt.not != "" && strings.Contains(stdout, tt.not) {
				t.Errorf("the notes have %q", tt.not)
			}
		})
	}
}
