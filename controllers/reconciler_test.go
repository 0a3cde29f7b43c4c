package controllers

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/autoscaler"
	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
)

// TestReconcile: from a new pool to a Deployment of the right size, and to nothing once the pool is
// deleted.
func TestReconcile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newPool("p"))
	w.backlogOf("p", 0)
	if result := w.reconcile("p"); result.RequeueAfter != 0 {
		t.Errorf("requeued after %v; want the Autoscaler to see to it", result.RequeueAfter)
	}
	var d appsv1.Deployment
	w.get("p", &d)
	if *d.Spec.Replicas != 2 || d.Spec.Template.Spec.Containers[0].Image != "i:1" {
		t.Errorf("%d replicas of %v", *d.Spec.Replicas, d.Spec.Template.Spec.Containers)
	}
	if got := w.condition("p", v1alpha1.ConditionStalled); got != "False AsExpected" {
		t.Errorf("Stalled: %s", got)
	}
	if s := w.pool("p").Status; s.DesiredReplicas != 2 || s.LastScaleTime == nil || s.Functions != "f" {
		t.Errorf("status: %+v", s)
	}
	if got := <-w.events.Events; !strings.Contains(got, "Scaled") {
		t.Errorf("event %q", got)
	}
	if n := w.pools.Counts()["pools"]; n != 1 {
		t.Errorf("%d pools are known", n)
	}
	if err := w.api.Delete(t.Context(), w.pool("p")); err != nil {
		t.Fatal(err)
	}
	w.reconcile("p")
	for kind, n := range w.pools.Counts() {
		if n != 0 {
			t.Errorf("%d %s are kept of a pool that is gone", n, kind)
		}
	}
}

// TestStalls: the conditions report what a user must fix, and the pool is reconciled again.
func TestStalls(t *testing.T) {
	t.Parallel()
	target := func(p *v1alpha1.GearmanWorkerPool) {
		p.Spec.Runtime, p.Spec.Image, p.Spec.TargetRef = nil, "", &v1alpha1.TargetRef{Kind: "Deployment", Name: "web"}
	}
	web := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "w"},
		Spec:       appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{}},
	}
	older := newPool("older", target, func(p *v1alpha1.GearmanWorkerPool) {
		p.UID, p.CreationTimestamp = "o", metav1.NewTime(time.Unix(1_600_000_000, 0))
	})
	invalid := apierrors.NewInvalid(schemaKind, "p", nil)
	tests := map[string]struct {
		mutate  func(*v1alpha1.GearmanWorkerPool)
		objects []client.Object
		fail    error // of an apply
		refuse  error // of the subscription
		secrets error // of reading a Secret
		want    string
	}{
		"schedule": {
			mutate: func(p *v1alpha1.GearmanWorkerPool) { p.Spec.Scaling = badSchedule() },
			want:   poolstatus.ReasonInvalidScaling,
		},
		"no Secret": {
			mutate: func(p *v1alpha1.GearmanWorkerPool) {
				p.Spec.TLS = &v1alpha1.TLSSpec{ClientCertificateSecret: "c"}
			},
			want: poolstatus.ReasonInvalidTLS,
		},
		"no right to read Secrets": {
			mutate: func(p *v1alpha1.GearmanWorkerPool) {
				p.Spec.TLS = &v1alpha1.TLSSpec{ClientCertificateSecret: "c"}
			},
			secrets: apierrors.NewForbidden(corev1.Resource("secrets"), "c", nil),
			want:    poolstatus.ReasonSecretsNotReadable,
		},
		"name taken": {
			objects: []client.Object{&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p"}}},
			want:    poolstatus.ReasonNameTaken,
		},
		"no target": {mutate: target, want: poolstatus.ReasonTargetNotFound},
		"target of older": {
			mutate: target, objects: []client.Object{web.DeepCopy(), older}, want: poolstatus.ReasonTargetTaken,
		},
		"pod template": {
			mutate: func(p *v1alpha1.GearmanWorkerPool) { p.Spec.PodTemplate = rawTemplate(`{"spec":{"nope":1}}`) },
			want:   poolstatus.ReasonInvalidPodTemplate,
		},
		"job servers": {refuse: errors.New("no such address"), want: poolstatus.ReasonInvalidServers},
		"refused by the API server": {
			fail: invalid, want: poolstatus.ReasonInvalidPodTemplate,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPool("p")
			if tt.mutate != nil {
				tt.mutate(p)
			}
			w := newWorld(t, append(tt.objects, p)...)
			w.fail["get secret"] = tt.secrets
			w.fail["apply"], w.servers.refuse = tt.fail, tt.refuse
			result := w.reconcile("p")
			for _, c := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionScalingActive} {
				if got := w.condition("p", c); got != "False "+tt.want {
					t.Errorf("%s: %s, want False %s", c, got, tt.want)
				}
			}
			if got := w.condition("p", v1alpha1.ConditionStalled); got != "True "+tt.want {
				t.Errorf("Stalled: %s", got)
			}
			if got := w.condition("p", v1alpha1.ConditionReconciling); tt.refuse == nil && got != "False AsExpected" {
				t.Errorf("Reconciling: %s", got)
			}
			if result.RequeueAfter < secretsRefresh || result.RequeueAfter > 2*secretsRefresh {
				t.Errorf("looked at again after %v", result.RequeueAfter)
			}
			if _, watched := w.servers.subscription("p"); watched {
				t.Error("the job servers are still watched")
			}
		})
	}
}

// TestReconcileFails: a failure of the API server is returned, so that it is retried.
func TestReconcileFails(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"list", "apply", "status"} {
		w := newWorld(t, newPool("p"))
		w.fail[kind] = errors.New("unavailable")
		if _, err := w.Reconcile(
			t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "ns", Name: "p"}},
		); err == nil {
			t.Errorf("%s: no error", kind)
		}
	}
}

// cutOff is a client whose requests fail.
type cutOff struct{ client.Client }

func (cutOff) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return errors.New("cut off")
}

// TestReconcileCutOff: a request that fails because the operator stops is no failed reconcile.
func TestReconcileCutOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.client = cutOff{}
	request := ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "ns", Name: "pool"}}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := w.Reconcile(ctx, request); err == nil {
		t.Error("a failure is not reported")
	}
	cancel()
	if _, err := w.Reconcile(ctx, request); err != nil {
		t.Errorf("at the end of the operator: %v", err)
	}
}

// TestNextReconcile: a pool is reconciled again when its status may be written, or after a refresh
// time with jitter; the Autoscaler enqueues the others.
func TestNextReconcile(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		refresh, statusWait, least, most time.Duration
	}{
		"nothing to wait for":     {autoscaler.RefreshEvery, 0, 0, 0},
		"its turn":                {autoscaler.RefreshEvery, time.Second, time.Second, time.Second},
		"a secret":                {time.Minute, 0, time.Minute, 72 * time.Second},
		"its turn comes first":    {time.Minute, time.Second, time.Second, time.Second},
		"its turn comes too late": {time.Minute, time.Hour, time.Minute, 72 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			x := newRun(newPool("p"))
			x.refresh = tt.refresh
			if got := w.nextReconcile(x, tt.statusWait).RequeueAfter; got < tt.least || got > tt.most {
				t.Errorf("after %v, want %v to %v", got, tt.least, tt.most)
			}
		})
	}
}
