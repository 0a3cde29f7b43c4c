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

// secretsRefresh is how often pools are reconciled without an event if they use Secrets, which are
// not watched, or wait for a fix of another object.
const secretsRefresh = time.Minute

// Options of a PoolReconciler.
type Options struct {
	// Runtime is the image with the worker runtime of generated pods.
	Runtime workload.RuntimeImage
	// RolloutRuntime rolls out a new runtime image to every pool at once, rather than with its next
	// change.
	RolloutRuntime bool
	// Workers is how many pools are reconciled at the same time.
	Workers int
	// Scale writes replicas, so that they wait for no other write; nil: the client that writes
	// everything else.
	Scale client.Client
	// Clock is the real one if nil.
	Clock clock.PassiveClock
}

// The operator's permissions; test/apiserver checks that all of them are used. Cached objects are
// never read with get, only listed and watched. The markers are attached to no type: controller-gen
// applies them to the whole package.
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

// PoolReconciler applies the Autoscaler's decisions to GearmanWorkerPools. It keeps no state of a
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

// step is a part of a reconcile. It records its findings in the run, for later steps and for the
// conditions. A non-zero result ends the reconcile.
type step struct {
	name string
	do   func(*PoolReconciler, context.Context, *run) (ctrl.Result, error)
}

// steps of a reconcile: gather, update the template, decide and apply. writeStatus follows, whether
// or not the pool is stalled.
var steps = []step{
	{"read the workload", (*PoolReconciler).readWorkload},
	{"read the pods", (*PoolReconciler).readPods},
	{"read the spec", (*PoolReconciler).readSpec},
	{"read the TLS material", (*PoolReconciler).readTLSMaterial},
	{"find who owns the workload", (*PoolReconciler).checkOwner},

	{"plan the template", (*PoolReconciler).planTemplate},
	{"apply the template", (*PoolReconciler).applyTemplate}, // before the decision on its replicas

	{"watch the job servers", (*PoolReconciler).watchJobServers},
	{"decide", (*PoolReconciler).decide},
	{"apply the replicas", (*PoolReconciler).applyReplicas},
}

// Reconcile gathers a pool's state, decides and applies.
func (r *PoolReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	result, err := r.reconcile(ctx, req.NamespacedName)
	if ctx.Err() != nil {
		// The operator stops and has canceled its own requests. That is no failure, and the next
		// operator starts over.
		result, err = ctrl.Result{}, nil
	}
	return result, err
}

func (r *PoolReconciler) reconcile(ctx context.Context, key types.NamespacedName) (ctrl.Result, error) {
	var pool v1alpha1.GearmanWorkerPool
	if err := r.client.Get(ctx, key, &pool); client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("read pool %s: %w", key, err)
	} else if apierrors.IsNotFound(err) || !pool.DeletionTimestamp.IsZero() {
		r.pools.Forget(key) // Kubernetes deletes its Deployment with its owner
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
			// The pool's workload is left unchanged.
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
	statusWait, err := r.writeStatus(ctx, x)
	if err != nil {
		return ctrl.Result{}, err
	}
	return r.nextReconcile(x, statusWait), nil
}

// reportFailure records in the status that a pool's reconciles fail. All else in the status stays
// unchanged.
func (r *PoolReconciler) reportFailure(ctx context.Context, x *run, failure error) error {
	r.recordFailing(x, failure)
	status, changed := poolstatus.Failing(&x.pool.Status, x.facts.Retrying)
	if !changed || r.pools.StatusWait(x.key, r.clock.Now()) > 0 {
		return nil
	}
	return r.applyStatus(ctx, x, status)
}

// applyStatus writes the status, and keeps it until the cache shows it: otherwise the previous
// status would be written again.
func (r *PoolReconciler) applyStatus(ctx context.Context, x *run, status *v1alpha1.GearmanWorkerPoolStatus) error {
	version, err := applyStatus(ctx, r.client, x.pool, status)
	if err != nil {
		return err
	}
	r.pools.Do(x.key, func(p *autoscaler.Pool) { p.WroteStatus(version, status) })
	return nil
}

// nextReconcile schedules the next reconcile: when the status may be written, or else after about
// the run's refresh time, with jitter. A pool that needs one only after RefreshEvery gets it from
// the Autoscaler, so that no queue holds all pools.
func (r *PoolReconciler) nextReconcile(x *run, statusWait time.Duration) ctrl.Result {
	refresh := x.refresh
	if x.facts.Trouble != "" {
		refresh = min(refresh, poolstatus.FixedAfter)
	}
	if x.pool.Spec.TLS != nil || x.facts.Stall.Reason != "" {
		// The cause may be fixed in another object: a Secret, the target, the object that has its
		// name.
		refresh = min(refresh, secretsRefresh)
	}
	if statusWait == 0 && refresh >= autoscaler.RefreshEvery {
		return ctrl.Result{}
	}
	after := r.pools.Jitter(refresh)
	if statusWait > 0 {
		after = min(after, statusWait)
	}
	return ctrl.Result{RequeueAfter: after}
}
