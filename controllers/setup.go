package controllers

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// Manager is the part of a controller-runtime manager that SetupWithManager needs. A test may pass
// a fake cache.
type Manager interface {
	GetCache() cache.Cache
	GetLogger() logr.Logger
	GetControllerOptions() config.Controller
	Add(manager.Runnable) error
}

// maxRetryDelay is the longest delay before a failed reconcile is retried.
const maxRetryDelay = 30 * time.Second

// SetupWithManager adds the reconciler to the manager.
func (r *PoolReconciler) SetupWithManager(mgr Manager) error {
	c := mgr.GetCache()
	if err := c.IndexField(context.Background(), &v1alpha1.GearmanWorkerPool{}, targetIndex, indexTarget); err != nil {
		return fmt.Errorf("index the pools by their targets: %w", err)
	}
	if err := c.IndexField(context.Background(), &corev1.Pod{}, poolIndex, indexPool); err != nil {
		return fmt.Errorf("index the pods by their pools: %w", err)
	}
	o := controller.Options{Reconciler: r, MaxConcurrentReconciles: max(1, r.options.Workers), Logger: mgr.GetLogger()}
	o.RateLimiter = workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](
		5*time.Millisecond, maxRetryDelay,
	)
	o.DefaultFromConfig(mgr.GetControllerOptions())
	ctl, err := controller.NewUnmanaged("gearmanworkerpool", o)
	if err != nil {
		return fmt.Errorf("set up the controller: %w", err)
	}
	changed := predicate.GenerationChangedPredicate{}
	for _, s := range []source.Source{
		source.Kind[client.Object](c, &v1alpha1.GearmanWorkerPool{}, &handler.EnqueueRequestForObject{}, changed),
		source.Kind[client.Object](c, &v1alpha1.GearmanWorkerPool{}, r.ofTarget(""), changed),
		source.Kind[client.Object](c, &v1alpha1.GearmanWorkerPool{}, handler.Funcs{UpdateFunc: r.seen}),
		source.Kind[client.Object](c, &appsv1.Deployment{}, handler.EnqueueRequestsFromMapFunc(ofOwner)),
		source.Kind[client.Object](c, &appsv1.Deployment{}, r.ofTarget("Deployment")),
		source.Kind[client.Object](c, &appsv1.StatefulSet{}, r.ofTarget("StatefulSet")),
		source.Kind[client.Object](c, &corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(ofLabel)),
		r.pools.Source(),
	} {
		if err := ctl.Watch(s); err != nil {
			return fmt.Errorf("watch: %w", err)
		}
	}
	return mgr.Add(ctl)
}

// seen reports to the pool's record what the cache shows. A change of the status alone, such as the
// operator's own writes, enqueues nothing.
func (r *PoolReconciler) seen(
	_ context.Context, e event.UpdateEvent, _ workqueue.TypedRateLimitingInterface[reconcile.Request],
) {
	r.pools.Seen(client.ObjectKeyFromObject(e.ObjectNew), e.ObjectNew.GetResourceVersion())
}

// ofOwner enqueues the pool that owns the object of an event.
func ofOwner(_ context.Context, o client.Object) []reconcile.Request {
	owner := metav1.GetControllerOfNoCopy(o)
	if owner == nil || owner.Kind != "GearmanWorkerPool" {
		return nil
	}
	if gv, err := schema.ParseGroupVersion(owner.APIVersion); err != nil ||
		gv.Group != v1alpha1.SchemeGroupVersion.Group {
		return nil // another API group's kind of the same name
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: owner.Name}}}
}

// ofLabel enqueues the pool whose label a pod has.
func ofLabel(_ context.Context, o client.Object) []reconcile.Request {
	name := o.GetLabels()[v1alpha1.LabelPool]
	if name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: name}}}
}

// ofTarget enqueues the pools that scale the object of an event; for a pool, those that scale the
// same target.
func (r *PoolReconciler) ofTarget(kind string) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
		target := targetKey(kind, o.GetName())
		if p, ok := asPool(o); ok {
			if p.Spec.TargetRef == nil {
				return nil
			}
			target = indexTarget(p)[0]
		}
		pools, err := r.poolsOf(ctx, o.GetNamespace(), target)
		if err != nil {
			return nil // read from memory; the pools are reconciled again anyway
		}
		var out []reconcile.Request
		for i := range pools {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&pools[i])})
		}
		return out
	})
}
