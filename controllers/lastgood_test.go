package controllers

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
	"github.com/gearman-operator/gearman-operator/test/kit"
)

// badSpec is a change of a pool that can't be used as a whole.
type badSpec struct {
	mutate func(*v1alpha1.GearmanWorkerPool)
	spoil  func(*world) // what else fails
	want   string       // the reason in the conditions
	// functions polled then: with the last valid spec in memory, and after a restart
	polled, polledAfterRestart []string
}

func badSpecs() map[string]badSpec {
	g := func(p *v1alpha1.GearmanWorkerPool) { p.Spec.Function, p.Spec.MinReplicas = "g", 4 }
	both := func(a, b func(*v1alpha1.GearmanWorkerPool)) func(*v1alpha1.GearmanWorkerPool) {
		return func(p *v1alpha1.GearmanWorkerPool) { a(p); b(p) }
	}
	refuse := func(err error) func(*world) { return func(w *world) { w.failTemplate = err } }
	return map[string]badSpec{
		"a schedule that can't be read": {
			mutate: func(p *v1alpha1.GearmanWorkerPool) { p.Spec.MinReplicas, p.Spec.Scaling = 4, badSchedule() },
			want:   poolstatus.ReasonInvalidScaling, polled: []string{"f"}, polledAfterRestart: []string{"f"},
		},
		"a typo in the pod template": {
			mutate: both(g, func(p *v1alpha1.GearmanWorkerPool) {
				p.Spec.PodTemplate = rawTemplate(`{"spec":{"nope":1}}`)
			}),
			want: poolstatus.ReasonInvalidPodTemplate, polled: []string{"f"}, polledAfterRestart: []string{"g"},
		},
		"a template that the API server refuses": {
			mutate: g, spoil: refuse(apierrors.NewInvalid(schemaKind, "p", nil)),
			want: poolstatus.ReasonInvalidPodTemplate, polled: []string{"f"}, polledAfterRestart: []string{"g"},
		},
		"a Secret that isn't there": {
			mutate: both(
				g,
				func(p *v1alpha1.GearmanWorkerPool) { p.Spec.TLS = &v1alpha1.TLSSpec{ClientCertificateSecret: "none"} },
			),
			want: poolstatus.ReasonInvalidTLS, polled: []string{"f"}, polledAfterRestart: []string{"g"},
		},
		"a Secret that may not be read": {
			mutate: both(
				g,
				func(p *v1alpha1.GearmanWorkerPool) { p.Spec.TLS = &v1alpha1.TLSSpec{ClientCertificateSecret: "none"} },
			),
			spoil: func(w *world) {
				w.live = forbidden{w.api}
			},
			want: poolstatus.ReasonSecretsNotReadable, polled: []string{"f"}, polledAfterRestart: []string{"g"},
		},
	}
}

// forbidden is a reader that may not get Secrets.
type forbidden struct{ client.Reader }

func (f forbidden) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	if _, ok := o.(*corev1.Secret); ok {
		return apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, key.Name, errors.New("RBAC"))
	}
	return f.Reader.Get(ctx, key, o, opts...)
}

// TestLastGoodSpec: a spec that can't be used as a whole is reported, its template isn't rolled
// out, and the pool is still polled and scaled, by what its workers run. Its bounds apply at once,
// unless its scaling rules are invalid.
func TestLastGoodSpec(t *testing.T) {
	t.Parallel()
	for name, tt := range badSpecs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good := newPool("p")
			w := newWorld(t, good)
			w.backlogOf("p", 0)
			w.reconcile("p")
			var before appsv1.Deployment
			w.get("p", &before)

			w.spoil(tt)
			w.backlogOf("p", 500)
			w.clock.SetTime(w.clock.Now().Add(10 * time.Second))
			w.reconcile("p")
			w.isReported(tt.want)
			w.isPolled(tt.polled)
			var d appsv1.Deployment
			w.get("p", &d)
			if desired := w.pool("p").Status.DesiredReplicas; desired <= 4 || *d.Spec.Replicas < 2 {
				t.Errorf("%d replicas, %d desired for a backlog of 500 jobs", *d.Spec.Replicas, desired)
			}
			if diff := cmp.Diff(before.Spec.Template, d.Spec.Template); diff != "" {
				t.Errorf("the template was changed: %s", diff)
			}

			// After the fix, all of the new spec is used.
			w.failTemplate, w.live = nil, w.api
			fixed := w.pool("p")
			fixed.Generation++
			fixed.Spec = newPool("p", func(p *v1alpha1.GearmanWorkerPool) { p.Spec.Function = "h" }).Spec
			w.update(fixed)
			w.clock.SetTime(w.clock.Now().Add(10 * time.Second))
			w.reconcile("p")
			w.isPolled([]string{"h"})
			if got := w.condition("p", v1alpha1.ConditionStalled); got != "False AsExpected" {
				t.Errorf("after the fix Stalled is %s", got)
			}
		})
	}
}

// TestLastGoodSpecAfterRestart: without memory, the running Deployment replaces the last valid
// template, and the bounds are those of the spec.
func TestLastGoodSpecAfterRestart(t *testing.T) {
	t.Parallel()
	for name, tt := range badSpecs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good := newPool("p")
			w := newWorld(t, good, ownedBy(t, good, 2))
			w.spoil(tt)
			w.reconcile("p")
			w.isReported(tt.want)
			w.isPolled(tt.polledAfterRestart)
			var d appsv1.Deployment
			w.get("p", &d)
			if *d.Spec.Replicas != 4 {
				t.Errorf("%d replicas, want the new minReplicas, 4", *d.Spec.Replicas)
			}
		})
	}
}

// TestTemplateTriedAgain: a template that can't be applied for another reason is retried, and
// scaling continues meanwhile.
func TestTemplateTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newPool("p"))
	w.backlogOf("p", 0)
	w.reconcile("p")
	p := w.pool("p")
	p.Spec.Image, p.Spec.MinReplicas = "i:2", 4
	w.update(p)
	w.failTemplate = apierrors.NewInternalError(errors.New("duplicate entries for key"))
	if _, err := w.Reconcile(t.Context(), ctrl.Request{NamespacedName: typesKey("p")}); err == nil {
		t.Error("no error")
	}
	var d appsv1.Deployment
	w.get("p", &d)
	if *d.Spec.Replicas != 4 || d.Spec.Template.Spec.Containers[0].Image != "i:1" {
		t.Errorf(
			"%d replicas of %s, want 4 of the old template", *d.Spec.Replicas, d.Spec.Template.Spec.Containers[0].Image,
		)
	}
	for range 3 {
		w.clock.SetTime(w.clock.Now().Add(failingFor))
		if _, err := w.Reconcile(t.Context(), ctrl.Request{NamespacedName: typesKey("p")}); err == nil {
			t.Error("no error")
		}
		if got := w.condition("p", v1alpha1.ConditionReady); got != "False Retrying" {
			t.Errorf("Ready is %s", got)
		}
		if got := w.condition("p", v1alpha1.ConditionScalingActive); got == "False Retrying" {
			t.Errorf("ScalingActive is %s", got)
		}
	}
	w.failTemplate = nil
	w.reconcile("p")
	w.get("p", &d)
	if d.Spec.Template.Spec.Containers[0].Image != "i:2" {
		t.Error("the template was not tried again")
	}
}

// TestLastGoodCertificate: a deleted Secret does not keep the connections from dialing again.
func TestLastGoodCertificate(t *testing.T) {
	t.Parallel()
	ca := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "ca"}, Data: map[string][]byte{"ca.crt": kit.NewCA(t).PEM},
	}
	w := newWorld(t, newPool("p", func(p *v1alpha1.GearmanWorkerPool) {
		p.Spec.TLS = &v1alpha1.TLSSpec{CASecret: &v1alpha1.SecretKey{Name: "ca"}}
	}), ca)
	w.backlogOf("p", 0)
	w.reconcile("p")
	if err := w.api.Delete(t.Context(), ca); err != nil {
		t.Fatal(err)
	}
	w.clock.SetTime(w.clock.Now().Add(10 * time.Second))
	w.reconcile("p")
	w.isReported(poolstatus.ReasonInvalidTLS)
	sub, _ := w.servers.subscription("p")
	if cfg, err := sub.TLS.Config(t.Context()); err != nil || cfg.RootCAs == nil {
		t.Errorf("%v, %v; want the last good configuration", cfg, err)
	}
}

// spoil changes the pool to a spec that can't be used as a whole.
func (w *world) spoil(bad badSpec) {
	w.t.Helper()
	if bad.spoil != nil {
		bad.spoil(w)
	}
	p := w.pool("p")
	p.Generation++
	bad.mutate(p)
	w.update(p)
}

func (w *world) update(p *v1alpha1.GearmanWorkerPool) {
	w.t.Helper()
	if err := w.api.Update(w.t.Context(), p); err != nil {
		w.t.Fatal(err)
	}
}

// isReported checks that the conditions report the problem, and that scaling continues.
func (w *world) isReported(reason string) {
	w.t.Helper()
	for kind, want := range map[string]string{
		v1alpha1.ConditionStalled: "True " + reason, v1alpha1.ConditionReady: "False " + reason,
	} {
		if got := w.condition("p", kind); got != want {
			w.t.Errorf("%s is %s, want %s", kind, got, want)
		}
	}
	if got := w.condition("p", v1alpha1.ConditionScalingActive); strings.HasSuffix(got, reason) {
		w.t.Errorf("ScalingActive is %s, though scaling goes on", got)
	}
}

func (w *world) isPolled(functions []string) {
	w.t.Helper()
	sub, ok := w.servers.subscription("p")
	if diff := cmp.Diff(functions, sub.Functions); !ok || diff != "" {
		w.t.Errorf("polled: %v; %s", ok, diff)
	}
}
