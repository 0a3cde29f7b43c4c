package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/autoscaler"
	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// refreshSecretsEvery is how often pools are reconciled without a cause if Secrets belong to them,
// which are not watched, or if they wait for something to be fixed elsewhere.
const refreshSecretsEvery = time.Minute

// Options of a PoolReconciler.
type Options struct {
	// Runtime is where the worker runtime of generated pods comes from.
	Runtime workload.RuntimeImage
	// RolloutRuntime has every pool take a new runtime image at once, rather than with its next
	// change.
	RolloutRuntime bool
	// Workers is how many pools are reconciled at the same time.
	Workers int
	// Scale writes replicas, so that these wait for no other write; nil: the client that writes
	// everything else.
	Scale client.Client
	// Clock is the real one if nil.
	Clock clock.PassiveClock
}

// What the operator may do; test/apiserver holds it to what is used. What the cache holds is never
// got, only listed and watched. The markers stand apart from any type: controller-gen takes them
// for the whole package.
//
// +kubebuilder:rbac:groups=gearman.dev,resources=gearmanworkerpools,verbs=list;watch
// +kubebuilder:rbac:groups=gearman.dev,resources=gearmanworkerpools/status,verbs=patch
// +kubebuilder:rbac:groups=gearman.dev,resources=gearmanworkerpools/finalizers,verbs=update
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=list;watch;create;patch
// +kubebuilder:rbac:groups=apps,resources=statefulsets,verbs=list;watch
// +kubebuilder:rbac:groups=apps,resources=deployments/scale;statefulsets/scale,verbs=patch
// +kubebuilder:rbac:groups="",resources=pods,verbs=list;watch;patch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// PoolReconciler brings GearmanWorkerPools to what the Autoscaler decides. It keeps nothing of a
// pool itself: that is in the Autoscaler's registry.
type PoolReconciler struct {
	client  client.Client
	live    client.Reader // uncached: Secrets, and the pods of targets
	scale   client.Client // for replicas and deletion costs
	events  events.EventRecorder
	clock   clock.PassiveClock
	pools   *autoscaler.Autoscaler
	options Options
}

// NewPoolReconciler returns a reconciler; live reads without a cache.
func NewPoolReconciler(
	c client.Client, live client.Reader, rec events.EventRecorder, a *autoscaler.Autoscaler, o Options,
) *PoolReconciler {
	r := &PoolReconciler{client: c, live: live, scale: o.Scale, events: rec, clock: o.Clock, pools: a, options: o}
	if r.scale == nil {
		r.scale = c
	}
	if r.clock == nil {
		r.clock = clock.RealClock{}
	}
	return r
}

// step is a part of a reconcile. It notes what it finds in the run, for the steps after it and for
// the conditions. A result that is not zero ends the reconcile.
type step struct {
	name string
	do   func(*PoolReconciler, context.Context, *run) (ctrl.Result, error)
}

// steps of a reconcile: gather, bring the template, decide and apply. writeStatus follows, whether
// or not the pool is stalled.
var steps = []step{
	{"read the workload", (*PoolReconciler).readWorkload},
	{"read the pods", (*PoolReconciler).readPods},
	{"read the spec", (*PoolReconciler).readSpec},
	{"read the TLS material", (*PoolReconciler).readTLSMaterial},
	{"find who owns the workload", (*PoolReconciler).checkOwner},

	{"plan the template", (*PoolReconciler).planTemplate},
	{"apply the template", (*PoolReconciler).applyTemplate}, // before it is decided how many pods it gets

	{"watch the job servers", (*PoolReconciler).watchJobServers},
	{"decide", (*PoolReconciler).decide},
	{"apply the replicas", (*PoolReconciler).applyReplicas},
}

// Reconcile gathers what is known of a pool, decides and applies.
func (r *PoolReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	result, err := r.reconcile(ctx, req.NamespacedName)
	if ctx.Err() != nil {
		// The operator ends and has cut off its own requests. That is no failure, and the next
		// operator begins anew.
		result, err = ctrl.Result{}, nil
	}
	return result, err
}

func (r *PoolReconciler) reconcile(ctx context.Context, key types.NamespacedName) (ctrl.Result, error) {
	var pool v1alpha1.GearmanWorkerPool
	if err := r.client.Get(ctx, key, &pool); client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("read pool %s: %w", key, err)
	} else if apierrors.IsNotFound(err) || !pool.DeletionTimestamp.IsZero() {
		r.pools.Forget(key) // its Deployment goes by ownership
		return ctrl.Result{}, nil
	}
	r.pools.Do(key, func(p *autoscaler.Pool) {
		if unseen := p.UnseenStatus(pool.ResourceVersion); unseen != nil {
			pool.Status = *unseen
		}
	})
	x := newRun(&pool)
	result, err := r.runSteps(ctx, x)
	if err != nil {
		return ctrl.Result{}, errors.Join(err, r.reportFailure(ctx, x, err))
	}
	if x.failed != nil {
		return ctrl.Result{}, x.failed
	}
	r.pools.Do(key, (*autoscaler.Pool).Succeeded)
	return result, nil
}

// runSteps runs the steps until one ends them, and then writes the status.
func (r *PoolReconciler) runSteps(ctx context.Context, x *run) (ctrl.Result, error) {
	for _, s := range steps {
		result, err := s.do(r, ctx, x)
		if errors.Is(err, errStalled) {
			// What the pool has is left as it is.
			r.pools.Suspend(x.key)
			x.suspend()
			break
		}
		if err != nil {
			return ctrl.Result{}, fmt.Errorf("%s: %w", s.name, err)
		}
		if !result.IsZero() {
			return result, nil
		}
	}
	turn, err := r.writeStatus(ctx, x)
	if err != nil {
		return ctrl.Result{}, err
	}
	return r.again(x, turn), nil
}

// reportFailure shows in the status of a pool whose steps were not all done that its reconciles
// fail. All else in the status stays as it is.
func (r *PoolReconciler) reportFailure(ctx context.Context, x *run, failure error) error {
	r.noteFailing(x, failure)
	status, changed := poolstatus.Failing(&x.pool.Status, x.facts.Retrying)
	if !changed || r.pools.StatusWait(x.key, r.clock.Now()) > 0 {
		return nil
	}
	return r.applyStatus(ctx, x, status)
}

// applyStatus writes the status, and remembers it until the cache shows it: what was written before
// would be written again otherwise.
func (r *PoolReconciler) applyStatus(ctx context.Context, x *run, status *v1alpha1.GearmanWorkerPoolStatus) error {
	version, err := applyStatus(ctx, r.client, x.pool, status)
	if err != nil {
		return err
	}
	r.pools.Do(x.key, func(p *autoscaler.Pool) { p.WroteStatus(version, status) })
	return nil
}

// again asks for the next reconcile: when the status may be written, or else after about as long as
// the run says, not all pools at once. A pool that needs one only after RefreshEvery gets it from
// the Autoscaler, so that no queue holds all pools.
func (r *PoolReconciler) again(x *run, turn time.Duration) ctrl.Result {
	refresh := x.refresh
	if x.facts.Trouble != "" {
		refresh = min(refresh, poolstatus.Calm)
	}
	if x.pool.Spec.TLS != nil || x.facts.Stall.Reason != "" {
		// What stalls it may also be fixed elsewhere: a Secret, the target, the object that has its
		// name.
		refresh = min(refresh, refreshSecretsEvery)
	}
	if turn == 0 && refresh >= autoscaler.RefreshEvery {
		return ctrl.Result{}
	}
	after := r.pools.Jitter(refresh)
	if turn > 0 {
		after = min(after, turn)
	}
	return ctrl.Result{RequeueAfter: after}
}
