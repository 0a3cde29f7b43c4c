package kubectlgearman

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// aCluster has a headless Service gearmand of two ready pods and one that isn't, and a Service
// whose port is not its pod's.
func aCluster(t *testing.T, more ...client.Object) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	pod := func(name string, ready bool) discoveryv1.Endpoint {
		return discoveryv1.Endpoint{
			Addresses:  []string{"10.0.0.1"},
			Conditions: discoveryv1.EndpointConditions{Ready: &ready},
			TargetRef:  &corev1.ObjectReference{Kind: "Pod", Name: name},
		}
	}
	service := func(name string, port, targetPort int32, endpoints ...discoveryv1.Endpoint) []client.Object {
		meta := metav1.ObjectMeta{Name: name, Namespace: "jobs"}
		sliceMeta := *meta.DeepCopy()
		sliceMeta.Labels = map[string]string{discoveryv1.LabelServiceName: name}
		return []client.Object{
			&corev1.Service{
				ObjectMeta: meta, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "gearman", Port: port}}},
			},
			&discoveryv1.EndpointSlice{
				ObjectMeta: sliceMeta, Endpoints: endpoints,
				Ports: []discoveryv1.EndpointPort{{Name: new("gearman"), Port: new(targetPort)}},
			},
		}
	}
	objects := service(
		"gearmand", 4730, 4730, pod("gearmand-1", true), pod("gearmand-0", true), pod("gearmand-2", false),
	)
	objects = append(objects, service("mapped", 4730, 14730, pod("other-0", true))...)
	objects = append(objects, service("empty", 4730, 4730)...)
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(append(objects, more...)...).Build()
}

func names(endpoints []endpoint) []string {
	var all []string
	for _, e := range endpoints {
		name := e.addr
		if e.pod != nil {
			name = e.name + ":" + number(float64(e.pod.port))
		}
		all = append(all, name)
	}
	return all
}

func TestInCluster(t *testing.T) {
	t.Parallel()
	gearmand := []string{"jobs/gearmand-0:4730", "jobs/gearmand-1:4730"}
	tests := map[string]struct {
		namespace, host string
		port            int
		want            []string // nil: not a name of the cluster
		err             string
	}{
		"in the same namespace":     {namespace: "jobs", host: "gearmand", port: 4730, want: gearmand},
		"unknown in this namespace": {namespace: "default", host: "gearmand", port: 4730},
		"with its namespace":        {namespace: "default", host: "gearmand.jobs", port: 4730, want: gearmand},
		"the Service's name":        {namespace: "default", host: "gearmand.jobs.svc", port: 4730, want: gearmand},
		"the whole name": {
			namespace: "default", host: "gearmand.jobs.svc.cluster.local.", port: 4730, want: gearmand,
		},
		"another port than the pod's": {
			namespace: "jobs", host: "mapped", port: 4730, want: []string{"jobs/other-0:14730"},
		},
		"a port that no Service has": {
			namespace: "jobs", host: "gearmand", port: 5000,
			want: []string{"jobs/gearmand-0:5000", "jobs/gearmand-1:5000"},
		},
		"a pod of a StatefulSet": {
			namespace: "default", host: "gearmand-7.gearmand.jobs.svc", port: 4730,
			want: []string{"jobs/gearmand-7:4730"},
		},
		"a name of the world":         {namespace: "default", host: "gearmand.example.com", port: 4730},
		"an address":                  {namespace: "default", host: "10.1.2.3", port: 4730},
		"an IPv6 address":             {namespace: "default", host: "fd00::1", port: 4730},
		"no ready pod":                {namespace: "jobs", host: "empty", port: 4730, err: "no ready pod"},
		"a Service that is not there": {namespace: "jobs", host: "gone.jobs.svc", port: 4730, err: "not found"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := inCluster(t.Context(), aCluster(t), tt.namespace, tt.host, tt.port)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error = %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, names(got)); diff != "" {
				t.Errorf("endpoints (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDeadLetterFunctions(t *testing.T) {
	t.Parallel()
	pool := func(name string, r *v1alpha1.RuntimeSpec) *v1alpha1.GearmanWorkerPool {
		return &v1alpha1.GearmanWorkerPool{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "jobs"}, Spec: v1alpha1.GearmanWorkerPoolSpec{Runtime: r},
		}
	}
	api := aCluster(
		t, pool("plain", nil), pool("tries", &v1alpha1.RuntimeSpec{Retry: &v1alpha1.RetrySpec{}}),
		pool("buries", &v1alpha1.RuntimeSpec{Retry: &v1alpha1.RetrySpec{DeadLetterFunction: "resize.dead"}}),
	)
	for name, want := range map[string]string{
		"buries": "", "plain": "name the dead letter functions", "tries": "name the dead letter functions",
		"gone": "not found",
	} {
		got, err := deadLetterFunctionOf(t.Context(), api, "jobs", name)
		switch {
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: error = %v, want %q", name, err, want)
		case want == "" && (err != nil || len(got) != 1 || got[0] != "resize.dead"):
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	// Only pools have one, so nothing else requests anything from the cluster.
	for _, target := range []string{"gearmand:4730", "svc/gearmand", "pool/"} {
		if got, err := (&plugin{}).deadLetterFunctions(t.Context(), target); err != nil || got != nil {
			t.Errorf("%s: %v, %v", target, got, err)
		}
	}
}

func TestPoolEndpoints(t *testing.T) {
	t.Parallel()
	pool := &v1alpha1.GearmanWorkerPool{
		ObjectMeta: metav1.ObjectMeta{Name: "resize", Namespace: "jobs"},
		Spec: v1alpha1.GearmanWorkerPoolSpec{
			Servers: []v1alpha1.ServerAddress{"gearmand", "[2001:db8::1]:4731", "192.0.2.7"},
		},
	}
	secret := pool.DeepCopy()
	secret.Name = "secret"
	secret.Spec.TLS = &v1alpha1.TLSSpec{}
	api := aCluster(t, pool, secret)

	got, err := poolEndpoints(t.Context(), api, "jobs", "resize")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"jobs/gearmand-0:4730", "jobs/gearmand-1:4730", "[2001:db8::1]:4731", "192.0.2.7:4730"}
	if diff := cmp.Diff(want, names(got)); diff != "" {
		t.Errorf("endpoints (-want +got):\n%s", diff)
	}
	if _, err := poolEndpoints(t.Context(), api, "jobs", "secret"); err == nil ||
		!strings.Contains(err.Error(), "--tls-ca") {
		t.Errorf("error = %v, want one that tells of --tls-ca", err)
	}
	for _, server := range []v1alpha1.ServerAddress{
		"127.0.0.1", "[::1]:4731", "169.254.169.254:80", "::ffff:127.0.0.1",
	} {
		hostile := pool.DeepCopy()
		hostile.Spec.Servers = []v1alpha1.ServerAddress{server}
		if _, err := poolEndpoints(t.Context(), aCluster(t, hostile), "jobs", "resize"); err == nil ||
			!strings.Contains(err.Error(), "must not send the plugin") {
			t.Errorf("%s: error = %v, want a refusal", server, err)
		}
	}
	if _, err := poolEndpoints(t.Context(), api, "jobs", "gone"); err == nil {
		t.Error("no error for a pool that is not there")
	}
}
