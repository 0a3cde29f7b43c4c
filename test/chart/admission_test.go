package chart

import (
	"os"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// everyone is what all users of the test may do: write pools, and nothing else.
var everyone = rbacv1.PolicyRule{
	APIGroups: []string{"gearman.dev"}, Resources: []string{"gearmanworkerpools"}, Verbs: []string{"*"},
}

func rule(group, resource, verb string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{
		APIGroups: []string{group}, Resources: []string{resource}, Verbs: []string{verb}, ResourceNames: names,
	}
}

func pool(name string, change func(*v1alpha1.GearmanWorkerPoolSpec)) *v1alpha1.GearmanWorkerPool {
	p := &v1alpha1.GearmanWorkerPool{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec: v1alpha1.GearmanWorkerPoolSpec{
			Servers: []v1alpha1.ServerAddress{"gearmand"}, Function: "resize", Image: "resize:1", MaxReplicas: 1,
			Concurrency: 1,
		},
	}
	if change != nil {
		change(&p.Spec)
	}
	return p
}

func scales(kind string) func(*v1alpha1.GearmanWorkerPoolSpec) {
	return func(s *v1alpha1.GearmanWorkerPoolSpec) {
		s.Image = ""
		s.TargetRef = &v1alpha1.TargetRef{Kind: kind, Name: "target"}
	}
}

func withTLS(s *v1alpha1.GearmanWorkerPoolSpec) {
	s.TLS = &v1alpha1.TLSSpec{CASecret: &v1alpha1.SecretKey{Name: "ca"}, ClientCertificateSecret: "client"}
}

// TestAdmissionPolicy tests the admission policy, as rendered by the chart, on a real API server:
// no user gains rights via a pool that they don't have anyway.
func TestAdmissionPolicy(t *testing.T) {
	t.Parallel()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Skip("no API server to test with: run make test, which builds it")
	}
	admin := startAPIServer(t)

	tests := map[string]struct {
		rules []rbacv1.PolicyRule
		pool  func(*v1alpha1.GearmanWorkerPoolSpec)
		want  string // in the refusal; "" means accepted
	}{
		"may create pods": {rules: []rbacv1.PolicyRule{rule("", "pods", "create")}},
		"may not":         {want: "needs the right to create pods in namespace default"},
		"may create pods, but no scaling": {
			rules: []rbacv1.PolicyRule{rule("", "pods", "create")}, pool: scales("Deployment"),
			want: "deployments/scale of target",
		},
		"may scale any Deployment": {
			rules: []rbacv1.PolicyRule{rule("apps", "deployments/scale", "update")}, pool: scales("Deployment"),
		},
		"may scale this Deployment": {
			rules: []rbacv1.PolicyRule{rule("apps", "deployments/scale", "update", "target")},
			pool:  scales("Deployment"),
		},
		"may scale another Deployment": {
			rules: []rbacv1.PolicyRule{rule("apps", "deployments/scale", "update", "other")},
			pool:  scales("Deployment"), want: "deployments/scale of target",
		},
		"may scale Deployments, not this kind": {
			rules: []rbacv1.PolicyRule{rule("apps", "deployments/scale", "update")}, pool: scales("StatefulSet"),
			want: "statefulsets/scale of target",
		},
		"may scale this StatefulSet": {
			rules: []rbacv1.PolicyRule{rule("apps", "statefulsets/scale", "update", "target")},
			pool:  scales("StatefulSet"),
		},
		"TLS, may read the Secrets": {
			rules: []rbacv1.PolicyRule{rule("", "pods", "create"), rule("", "secrets", "get")}, pool: withTLS,
		},
		"TLS, may read one of them": {
			rules: []rbacv1.PolicyRule{rule("", "pods", "create"), rule("", "secrets", "get", "ca")}, pool: withTLS,
			want: "needs the right to get ca and client",
		},
		"TLS, may read none of them": {
			rules: []rbacv1.PolicyRule{rule("", "pods", "create")}, pool: withTLS,
			want: "needs the right to get ca and client",
		},
	}
	number := 0
	for name, tt := range tests {
		number++
		user := "user-" + string(rune('a'+number))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asUser := admin.as(t, user, append(tt.rules, everyone)...)
			err := asUser.Create(t.Context(), pool(user, tt.pool))
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.want != "" && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error = %v, want a refusal with %q", err, tt.want)
			}
		})
	}

	t.Run("what the operator's token is good for", func(t *testing.T) {
		t.Parallel()
		testWritesOfTheOperator(t, admin)
	})

	t.Run("pools of the docs and examples", func(t *testing.T) {
		t.Parallel()
		testPoolsOfTheDocs(t, admin)
	})

	t.Run("an existing pool", func(t *testing.T) {
		t.Parallel()
		p := pool("existing", nil)
		if err := admin.Create(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		weak := admin.as(t, "weak", everyone)

		p.Labels = map[string]string{"team": "queues"}
		if err := weak.Update(t.Context(), p); err != nil {
			t.Errorf("a label may be changed without the right to create pods: %v", err)
		}
		p.Spec.MaxReplicas = 100
		if err := weak.Update(t.Context(), p); !apierrors.IsForbidden(err) {
			t.Errorf("changing the spec without the right to create pods: error = %v, want a refusal", err)
		}
		if err := weak.Delete(t.Context(), p); err != nil {
			t.Errorf("deleting needs no more than the right to delete pools: %v", err)
		}
	})
}

// apiServer is an API server with the chart's CRD and admission policy, and a client of its
// administrator.
type apiServer struct {
	client.Client
	config *rest.Config
	scheme *runtime.Scheme
}

func startAPIServer(t *testing.T) *apiServer {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, v1alpha1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	objects := render(t)
	environment := &envtest.Environment{
		Scheme: scheme,
		CRDInstallOptions: envtest.CRDInstallOptions{
			CRDs: []*apiextensionsv1.CustomResourceDefinition{
				find[apiextensionsv1.CustomResourceDefinition](t, objects, "CustomResourceDefinition", ""),
			},
		},
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
	admin, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	server := &apiServer{Client: admin, config: config, scheme: scheme}

	for _, name := range []string{release + "-pools", release + "-writes"} {
		policy := find[admissionv1.ValidatingAdmissionPolicy](t, objects, "ValidatingAdmissionPolicy", name)
		binding := find[admissionv1.ValidatingAdmissionPolicyBinding](
			t, objects, "ValidatingAdmissionPolicyBinding", name,
		)
		for _, object := range []client.Object{policy, binding} {
			if err := admin.Create(t.Context(), object); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A policy takes a moment to take effect.
	probe := server.as(t, "probe", everyone)
	deadline := time.Now().Add(time.Minute)
	for !apierrors.IsForbidden(probe.Create(t.Context(), pool("probe", nil), client.DryRunAll)) {
		if time.Now().After(deadline) {
			t.Fatal("the admission policy did not take effect within a minute")
		}
		time.Sleep(50 * time.Millisecond)
	}
	return server
}

// as returns a client of a user who has these rights in the namespace default.
func (s *apiServer) as(t *testing.T, user string, rules ...rbacv1.PolicyRule) client.Client {
	t.Helper()
	meta := metav1.ObjectMeta{Name: user, Namespace: "default"}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	for _, object := range []client.Object{&rbacv1.Role{ObjectMeta: meta, Rules: rules}, binding} {
		if err := s.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	config := rest.CopyConfig(s.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	c, err := client.New(config, client.Options{Scheme: s.scheme})
	if err != nil {
		t.Fatal(err)
	}
	// The authorizer reads roles from a cache of its own.
	deadline := time.Now().Add(time.Minute)
	for {
		err := c.List(t.Context(), &v1alpha1.GearmanWorkerPoolList{}, client.InNamespace("default"))
		if err == nil {
			return c
		}
		if time.Now().After(deadline) {
			t.Fatalf("the rights of %s did not take effect within a minute: %v", user, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
