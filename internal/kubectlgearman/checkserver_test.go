package kubectlgearman

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
)

func TestServerChecks(t *testing.T) {
	t.Parallel()
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "jobs", Name: name} }
	secret := func(name string, keys ...string) *corev1.Secret {
		s := &corev1.Secret{ObjectMeta: meta(name), Data: map[string][]byte{}}
		for _, key := range keys {
			s.Data[key] = []byte("x")
		}
		return s
	}
	pool := func(mutate func(*v1alpha1.GearmanWorkerPoolSpec)) *v1alpha1.GearmanWorkerPool {
		p := &v1alpha1.GearmanWorkerPool{
			ObjectMeta: meta("resize"),
			Spec: v1alpha1.GearmanWorkerPoolSpec{
				Servers: []v1alpha1.ServerAddress{"a"}, Function: "resize", Image: "i",
			},
		}
		if mutate != nil {
			mutate(&p.Spec)
		}
		return p
	}
	asked := "job server a answers (checked from here, not from the operator)"
	tests := map[string]struct {
		pool    *v1alpha1.GearmanWorkerPool
		objects []client.Object
		refuse  string // a resource for which the user has no rights
		unread  bool   // Secrets and Deployments may not be read
		invalid bool   // the API server refuses the pool
		silent  bool   // the job server does not answer
		want    []string
	}{
		"all is well": {
			pool: pool(nil),
			want: []string{
				"ok the API server accepts the pool", "ok you may create gearmanworkerpools", "ok you may create pods",
				"ok " + asked,
			},
		},
		"a pool that exists": {
			pool: pool(nil), objects: []client.Object{pool(nil)},
			want: []string{
				"ok the API server accepts the pool", "ok you may create gearmanworkerpools", "ok you may create pods",
				"ok " + asked,
			},
		},
		"refused, without rights, with a silent job server": {
			pool: pool(nil), refuse: "pods", invalid: true, silent: true,
			want: []string{
				"PROBLEM the API server accepts the pool: invalid", "ok you may create gearmanworkerpools",
				"PROBLEM you may create pods: no: have an administrator grant it in namespace jobs",
				"PROBLEM " + asked + ": refused",
			},
		},
		"TLS and Secrets": {
			pool: pool(func(s *v1alpha1.GearmanWorkerPoolSpec) {
				s.TLS = &v1alpha1.TLSSpec{CASecret: &v1alpha1.SecretKey{Name: "ca"}, ClientCertificateSecret: "client"}
				s.Env = []corev1.EnvVar{{Name: "KEY", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
					LocalObjectReference: corev1.LocalObjectReference{Name: "app"}, Key: "key",
				}}}}
				s.EnvFrom = []corev1.EnvFromSource{
					{SecretRef: &corev1.SecretEnvSource{
						LocalObjectReference: corev1.LocalObjectReference{Name: "none"},
					}},
					{SecretRef: &corev1.SecretEnvSource{
						LocalObjectReference: corev1.LocalObjectReference{Name: "perhaps"}, Optional: new(true),
					}},
				}
			}),
			objects: []client.Object{secret("ca", "ca.crt"), secret("client", "tls.crt"), secret("app", "key")},
			want: []string{
				"ok the API server accepts the pool", "ok you may create gearmanworkerpools", "ok you may create pods",
				"ok you may get secrets ca", "ok you may get secrets client",
				"ok Secret ca of tls.caSecret exists",
				"PROBLEM Secret client of tls.clientCertificateSecret exists: it has no key tls.key",
				"ok Secret app of env KEY exists", `PROBLEM Secret none of envFrom exists: secrets "none" not found`,
				"unknown " + asked +
					": it speaks TLS with the pool's Secrets; try kubectl gearman version with --tls-ca, --tls-cert and --tls-key",
			},
		},
		"a target": {
			pool: pool(func(s *v1alpha1.GearmanWorkerPoolSpec) {
				s.Image, s.TargetRef = "", &v1alpha1.TargetRef{Kind: "Deployment", Name: "legacy"}
			}),
			objects: []client.Object{&appsv1.Deployment{ObjectMeta: meta("legacy")}},
			want: []string{
				"ok the API server accepts the pool", "ok you may create gearmanworkerpools",
				"ok you may update deployments/scale legacy", "ok the Deployment legacy exists", "ok " + asked,
			},
		},
		"a target that is missing": {
			pool: pool(func(s *v1alpha1.GearmanWorkerPoolSpec) {
				s.Image, s.TargetRef = "", &v1alpha1.TargetRef{Kind: "StatefulSet", Name: "legacy"}
			}),
			want: []string{
				"ok the API server accepts the pool", "ok you may create gearmanworkerpools",
				"ok you may update statefulsets/scale legacy",
				`PROBLEM the StatefulSet legacy exists: statefulsets.apps "legacy" not found`, "ok " + asked,
			},
		},
		"what the user may not read": {
			pool: pool(func(s *v1alpha1.GearmanWorkerPoolSpec) {
				s.TargetRef = &v1alpha1.TargetRef{Kind: "Deployment", Name: "legacy"}
				s.EnvFrom = []corev1.EnvFromSource{
					{SecretRef: &corev1.SecretEnvSource{
						LocalObjectReference: corev1.LocalObjectReference{Name: "app"},
					}},
				}
			}),
			unread: true,
			want: []string{
				"ok the API server accepts the pool", "ok you may create gearmanworkerpools",
				"ok you may update deployments/scale legacy",
				"unknown Secret app of envFrom exists: you may not read it",
				"unknown the Deployment legacy exists: you may not read it", "ok " + asked,
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := fakeAPI(t, tt.objects...).WithInterceptorFuncs(interceptor.Funcs{
				Create: func(
					ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption,
				) error {
					if review, ok := obj.(*authorizationv1.SelfSubjectAccessReview); ok {
						review.Status.Allowed = review.Spec.ResourceAttributes.Resource != tt.refuse
						return nil
					}
					if tt.invalid {
						return errors.New("invalid")
					}
					return c.Create(ctx, obj, opts...)
				},
				Get: func(
					ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object,
					opts ...client.GetOption,
				) error {
					if _, pool := obj.(*v1alpha1.GearmanWorkerPool); tt.unread && !pool {
						return apierrors.NewForbidden(schema.GroupResource{}, key.Name, errors.New("no"))
					}
					return c.Get(ctx, key, obj, opts...)
				},
			}).Build()
			checks := serverChecks{api: api, reach: func(
				context.Context, *v1alpha1.GearmanWorkerPool, v1alpha1.ServerAddress,
			) error {
				if tt.silent {
					return errors.New("refused")
				}
				return nil
			}}
			var out bytes.Buffer
			err := checks.check(t.Context(), &out, tt.pool)
			if bad := strings.Contains(out.String(), "PROBLEM"); bad != errors.Is(err, errChecks) || !bad &&
				err != nil {
				t.Errorf("the error is %v with\n%s", err, out.String())
			}
			title, rest, _ := strings.Cut(out.String(), "\n")
			if title != "pool jobs/resize on the cluster:" {
				t.Errorf("the title is %q", title)
			}
			var got []string
			for line := range strings.Lines(rest) {
				kind, what, _ := strings.Cut(strings.TrimSpace(line), " ")
				got = append(got, kind+" "+strings.TrimSpace(what))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			var left v1alpha1.GearmanWorkerPoolList
			if err := api.List(t.Context(), &left); err != nil || len(left.Items) > len(tt.objects) {
				t.Errorf("%v, %d pools are left: a check must change nothing", err, len(left.Items))
			}
		})
	}
	checks := serverChecks{api: fakeAPI(t).Build()}
	if err := checks.check(t.Context(), failingWriter{}, pool(nil)); err == nil {
		t.Error("a write that fails is not reported")
	}
}

func TestAskVersion(t *testing.T) {
	t.Parallel()
	srv := gearmantest.NewServer(gearmantest.Options{})
	t.Cleanup(srv.Close)
	if err := requestVersion(t.Context(), srv.Addr()); err != nil {
		t.Error(err)
	}
	nobody, err := jobserver.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	if err := requestVersion(t.Context(), nobody); err == nil {
		t.Error("nobody listens, and no error")
	}
	// A pool can't make the command connect to this machine's own services.
	p := &v1alpha1.GearmanWorkerPool{ObjectMeta: metav1.ObjectMeta{Namespace: "jobs"}}
	if err := new(plugin).reachServer(
		t.Context(), fakeAPI(t).Build(), p, v1alpha1.ServerAddress(srv.Addr()),
	); err == nil || !strings.Contains(err.Error(), "must not send the plugin") {
		t.Error(err)
	}
}
