package apiserver

import (
	"context"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/controllers"
	"github.com/gearman-operator/gearman-operator/internal/autoscaler"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// lagging is a client whose cache shows the Deployment that the test sets, and no pods. It writes
// at once, like any client.
type lagging struct {
	client.Client
	shows *appsv1.Deployment
}

func (l *lagging) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	d, ok := o.(*appsv1.Deployment)
	switch {
	case !ok:
		return l.Client.Get(ctx, key, o, opts...)
	case l.shows == nil:
		return apierrors.NewNotFound(appsv1.Resource("deployments"), key.Name)
	}
	l.shows.DeepCopyInto(d)
	return nil
}

func (l *lagging) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	if _, pods := list.(*corev1.PodList); pods {
		return nil
	}
	return l.Client.List(ctx, list, opts...)
}

// TestCacheBehind: if the cache is behind its own writes, the operator does not create its
// Deployment again, does not restore old replicas, and does not treat its own changes as somebody
// else's.
func TestCacheBehind(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p := pool(named(t, soloLag), func(s *spec) { s.MinReplicas = 2; s.Runtime = execRuntime("cat") })
	create(t, p)
	key := client.ObjectKeyFromObject(p)
	cache := &lagging{Client: k8s}
	watcher := backlog.New(backlog.Options{})
	r := controllers.NewPoolReconciler(cache, k8s, events.NewFakeRecorder(100), autoscaler.New(
		watcher, autoscaler.Options{},
	),
		controllers.Options{Runtime: workload.RuntimeImage{Image: "operator:test"}, Scale: k8s})
	reconcile := func() ctrl.Result {
		t.Helper()
		result, err := r.Reconcile(ctx, ctrl.Request{NamespacedName: key})
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	live := func(replicas int32) *appsv1.Deployment {
		t.Helper()
		d := &appsv1.Deployment{}
		if err := k8s.Get(ctx, key, d); err != nil {
			t.Fatal(err)
		}
		if *d.Spec.Replicas != replicas {
			t.Fatalf("%d replicas, want %d", *d.Spec.Replicas, replicas)
		}
		return d
	}

	reconcile()
	made := live(2)
	if result := reconcile(); result.RequeueAfter == 0 {
		t.Error("nothing looks for the Deployment again, should its event not come")
	}
	if now := live(2); now.Generation != made.Generation {
		t.Errorf(
			"the Deployment was written again before the cache showed it: generation %d, was %d", now.Generation,
			made.Generation,
		)
	}

	// The template changes while the cache shows the Deployment from before its replicas changed.
	cache.shows = made.DeepCopy()
	cache.shows.Generation--
	*cache.shows.Spec.Replicas = 0
	if err := k8s.Get(ctx, key, p); err != nil {
		t.Fatal(err)
	}
	p.Spec.Image = "worker:2"
	if err := k8s.Update(ctx, p); err != nil {
		t.Fatal(err)
	}
	reconcile()
	if now := live(2); now.Spec.Template.Spec.Containers[0].Image != "worker:2" || now.Generation != made.Generation+1 {
		t.Errorf(
			"generation %d, was %d, with image %s", now.Generation, made.Generation,
			now.Spec.Template.Spec.Containers[0].Image,
		)
	}
	cache.shows = live(2)
	reconcile()
	if err := k8s.Get(ctx, key, p); err != nil {
		t.Fatal(err)
	}
	if c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionScalingActive); c == nil ||
		c.Reason == "Contested" {
		t.Errorf("ScalingActive: %+v", c)
	}
	live(2)
}
