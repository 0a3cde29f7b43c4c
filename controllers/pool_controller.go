package controllers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/policy"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

const (
	// refreshEvery is how often a pool is reconciled without a cause.
	refreshEvery = 10 * time.Minute
	// refreshSecretsEvery is the same for pools that Secrets belong to, which are not watched, and for those that wait for something to be mended.
	refreshSecretsEvery = time.Minute
)

// Poller is what the reconciler needs of internal/backlog.
type Poller interface {
	Set(key backlog.PoolKey, s backlog.Subscription) error
	SetPods(key backlog.PoolKey, pods []backlog.PodRef)
	Remove(key backlog.PoolKey)
}

// Options of a PoolReconciler.
type Options struct {
	// Runtime is where the worker runtime of generated pods comes from.
	Runtime RuntimeImage
	// RolloutRuntime has every pool take a new runtime image at once, rather than with its next change.
	RolloutRuntime bool
	// Workers is how many pools are reconciled at the same time.
	Workers int
	// Scale writes replicas, so that these wait for no other write; nil: the client that writes everything else.
	Scale client.Client
}

// What the operator may do; test/apiserver holds it to what is used. What the cache holds is never got, only listed and watched. The markers stand apart from any
// type: controller-gen takes them for the whole package.
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

// PoolReconciler brings GearmanWorkerPools to what the Autoscaler decides.
type PoolReconciler struct {
	client     client.Client
	live       client.Reader // uncached: Secrets
	events     events.EventRecorder
	clock      clock.PassiveClock
	poller     Poller
	autoscaler *Autoscaler
	scaler     *scaler
	shares     *shares
	pacer      *pacer
	options    Options

	mu      sync.Mutex
	drifts  map[types.NamespacedName]*drift // of the few pools that have something to remember
	targets map[types.NamespacedName]targetPods
}

// NewPoolReconciler returns a reconciler; live reads without a cache.
func NewPoolReconciler(c client.Client, live client.Reader, rec events.EventRecorder, ck clock.PassiveClock, p Poller, a *Autoscaler, o Options) *PoolReconciler {
	scale := o.Scale
	if scale == nil {
		scale = c
	}
	return &PoolReconciler{
		client: c, live: live, events: rec, clock: ck, poller: p, autoscaler: a, scaler: newScaler(scale), shares: newShares(), pacer: newPacer(statusRate, statusBurst), options: o,
		drifts: map[types.NamespacedName]*drift{}, targets: map[types.NamespacedName]targetPods{},
	}
}

// SetupWithManager has the manager run the reconciler.
func (r *PoolReconciler) SetupWithManager(mgr ctrl.Manager) error {
	ofPool := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		name := o.GetLabels()[v1alpha1.LabelPool]
		if name == "" {
			return nil
		}
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: name}}}
	})
	if err := mgr.GetFieldIndexer().IndexField(context.Background(), &v1alpha1.GearmanWorkerPool{}, targetIndex, indexTarget); err != nil {
		return fmt.Errorf("index the pools by their targets: %w", err)
	}
	if err := mgr.GetFieldIndexer().IndexField(context.Background(), &corev1.Pod{}, poolIndex, indexPool); err != nil {
		return fmt.Errorf("index the pods by their pools: %w", err)
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("gearmanworkerpool").
		For(&v1alpha1.GearmanWorkerPool{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Owns(&appsv1.Deployment{}).
		Watches(&corev1.Pod{}, ofPool).
		Watches(&appsv1.Deployment{}, r.ofTarget("Deployment")).
		Watches(&appsv1.StatefulSet{}, r.ofTarget("StatefulSet")).
		Watches(&v1alpha1.GearmanWorkerPool{}, r.ofTarget(""), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(r.autoscaler.Source()).
		WithOptions(controller.Options{MaxConcurrentReconciles: max(1, r.options.Workers)}).
		Complete(r)
}

// Reconcile gathers what is known of a pool, decides and applies.
func (r *PoolReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	result, err := r.reconcile(ctx, req)
	if ctx.Err() != nil {
		// The operator ends and has cut off its own requests. That is no failure, and the next operator begins anew.
		result, err = ctrl.Result{}, nil
	}
	return result, err
}

func (r *PoolReconciler) reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var pool v1alpha1.GearmanWorkerPool
	if err := r.client.Get(ctx, req.NamespacedName, &pool); err != nil {
		if apierrors.IsNotFound(err) {
			r.forget(req.NamespacedName)
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, fmt.Errorf("read pool %s: %w", req.NamespacedName, err)
	}
	if !pool.DeletionTimestamp.IsZero() {
		r.forget(req.NamespacedName) // its Deployment goes by ownership
		return ctrl.Result{}, nil
	}

	w, err := gatherWorkload(ctx, r.client, &pool)
	if err != nil {
		return ctrl.Result{}, err
	}
	if r.unseen(req.NamespacedName, &w) {
		return ctrl.Result{RequeueAfter: unseenAgain}, nil
	}
	w.replicas, _ = r.scaler.present(req.NamespacedName, &w)
	pods, refresh, err := r.gatherPods(ctx, &pool, &w)
	if err != nil {
		return ctrl.Result{}, err
	}
	f := facts{mode: policy.Mode(&pool.Spec), rollout: r.rollsOut(&pool, &w)}
	compiled, err := policy.Compile(&pool.Spec)
	if err != nil {
		f.stall = stall{reasonInvalidScaling, err.Error()}
		return r.stalled(ctx, &pool, w, f)
	}
	_, tlsID, err := readTLS(ctx, r.live, &pool)
	if invalid, ok := errors.AsType[invalidTLSError](err); ok {
		f.stall = stall{reasonInvalidTLS, invalid.Error()}
		return r.stalled(ctx, &pool, w, f)
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	if f.stall, err = r.ensureWorkload(ctx, &pool, &w); err != nil {
		return ctrl.Result{}, err
	}
	if f.stall.reason != "" {
		return r.stalled(ctx, &pool, w, f)
	}
	f.rollout = r.rollsOut(&pool, &w)
	w.rollsOut = f.rollout
	switch {
	case w.edited:
		f.stall = stall{reasonContested, "somebody else keeps changing the Deployment: stop them, or make the change in the pool"}
	case w.failure != "":
		// The pods are refused; replicas are still kept right, so that it goes on by itself once they are let in.
		f.stall = stall{reasonPodsRefused, w.failure}
	}

	if err := r.subscribe(&pool, w, pods, tlsID); err != nil {
		f.stall = stall{reasonInvalidServers, err.Error()}
		return r.stalled(ctx, &pool, w, f)
	}
	v := r.autoscaler.set(req.NamespacedName, poolFacts{
		compiled: compiled, functions: policy.Functions(&pool.Spec),
		workload: w, pods: pods, target: targetRuleOf(&pool.Spec),
	}, learntFrom(pool.Status.Learnt))
	f.trouble, f.noWorker = worstTrouble(pods, pool.Status.Conditions, r.clock.Now())
	f.contested = r.scaler.observe(req.NamespacedName, w, r.clock.Now())
	f.shared = r.share(req.NamespacedName, policy.Servers(&pool.Spec), policy.Functions(&pool.Spec))
	f.servers, f.polled, f.decision = v.sample.Servers, asked(v.sample), v.decision

	if v.decision.Apply && !f.contested && !v.at.IsZero() {
		replicas, err := r.scaler.scale(ctx, &pool, w, pods, v)
		if err != nil {
			return ctrl.Result{}, err
		}
		r.scaled(ctx, &pool, w.replicas, replicas, v)
	}
	turn, err := r.writeStatus(ctx, &pool, w, f, v)
	if err != nil {
		return ctrl.Result{}, err
	}
	if f.trouble != "" {
		refresh = min(refresh, calm)
	}
	if pool.Spec.TLS != nil || f.stall.reason != "" {
		refresh = min(refresh, refreshSecretsEvery)
	}
	return again(refresh, turn), nil
}

// again asks for the next reconcile: when the status may be written, or else after about so long, not all pools at once. A pool that needs one only after
// refreshEvery gets it from the Autoscaler, so that no queue holds all pools.
func again(refresh, turn time.Duration) ctrl.Result {
	if turn == 0 && refresh >= refreshEvery {
		return ctrl.Result{}
	}
	after := wait.Jitter(refresh, 0.2)
	if turn > 0 {
		after = min(after, turn)
	}
	return ctrl.Result{RequeueAfter: after}
}

// rollsOut reports whether pods of an older template are being replaced. Each change of replicas, too, is unseen by the Deployment controller for a moment:
// so long it stays as it was found last. The pool's status in the cache may be older than that.
func (r *PoolReconciler) rollsOut(pool *v1alpha1.GearmanWorkerPool, w *workload) bool {
	was := meta.IsStatusConditionTrue(pool.Status.Conditions, v1alpha1.ConditionReconciling)
	if e := r.autoscaler.entry(client.ObjectKeyFromObject(pool)); e != nil {
		e.mu.Lock()
		was = e.facts.workload.rollsOut
		e.mu.Unlock()
	}
	return w.replacing || w.rollout && was
}

// stalled reports a pool that cannot work until its spec changes. What it has is left as it is.
func (r *PoolReconciler) stalled(ctx context.Context, pool *v1alpha1.GearmanWorkerPool, w workload, f facts) (ctrl.Result, error) {
	key := client.ObjectKeyFromObject(pool)
	r.unwatch(key)
	turn, err := r.writeStatus(ctx, pool, w, f, view{})
	if err != nil {
		return ctrl.Result{}, err
	}
	// What stalls it may also be mended elsewhere: a Secret, the target, the object that has its name.
	return again(refreshSecretsEvery, turn), nil
}

// forget frees all that is kept of a pool.
func (r *PoolReconciler) forget(key types.NamespacedName) {
	r.unwatch(key)
	r.pacer.forget(key)
}

// unwatch ends the watch over a pool's job servers, and all that builds on it.
func (r *PoolReconciler) unwatch(key types.NamespacedName) {
	r.poller.Remove(backlog.PoolKey(key))
	r.autoscaler.forget(key)
	r.scaler.forget(key)
	r.share(key, nil, nil)
	r.mu.Lock()
	delete(r.drifts, key)
	delete(r.targets, key)
	r.mu.Unlock()
}

// Entries counts what is kept in memory of pools, by what it is. All of it is 0 where there are no pools, and wholeSamples is as large as pools once
// every job server of every pool has answered.
func (r *PoolReconciler) Entries() map[string]int {
	out := map[string]int{"statusWrites": r.pacer.waiting(), "replicas": r.scaler.size(), "claims": r.shares.size()}
	out["pools"], out["wholeSamples"], out["verdicts"] = r.autoscaler.size()
	r.mu.Lock()
	defer r.mu.Unlock()
	out["drifts"], out["targets"] = len(r.drifts), len(r.targets)
	return out
}

// share notes what a pool serves, names the pools that serve it too, and has those told whose answer to that has changed.
func (r *PoolReconciler) share(key types.NamespacedName, servers, functions []string) []string {
	with, changed := r.shares.set(key, servers, functions)
	for _, k := range changed {
		r.autoscaler.enqueue(k, priorityStatus)
	}
	return sharedNames(key, with)
}

// subscribe tells the poller what the pool wants to know.
func (r *PoolReconciler) subscribe(pool *v1alpha1.GearmanWorkerPool, w workload, pods []pod, tlsID string) error {
	key := backlog.PoolKey(client.ObjectKeyFromObject(pool))
	refs := make([]backlog.PodRef, len(pods))
	for i, p := range pods {
		refs[i] = backlog.PodRef{UID: p.uid, Name: p.name, IP: p.ip}
	}
	s := pool.Spec.Scaling
	sub := backlog.Subscription{
		Servers: policy.Servers(&pool.Spec), Functions: policy.Functions(&pool.Spec),
		Period: policy.Poll(&pool.Spec), AtZero: w.replicas == 0, StaleAfter: policy.StaleAfter(&pool.Spec),
		Doorbell: s != nil && s.Wake == v1alpha1.WakeDoorbell,
	}
	if pool.Spec.TLS != nil {
		// Read anew before each dial, so that a rotated certificate needs no restart.
		sub.TLS = &backlog.TLS{Identity: tlsID, Config: func(ctx context.Context) (*tls.Config, error) {
			cfg, _, err := readTLS(ctx, r.live, pool)
			return cfg, err
		}}
	}
	if err := r.poller.Set(key, sub); err != nil {
		return fmt.Errorf("watch the job servers: %w", err)
	}
	r.poller.SetPods(key, refs)
	return nil
}

// scaled tells of a change of replicas, in the log and the event in the words of the status.
func (r *PoolReconciler) scaled(ctx context.Context, pool *v1alpha1.GearmanWorkerPool, from, to int32, v view) {
	if from == to {
		return
	}
	r.autoscaler.scaled(client.ObjectKeyFromObject(pool))
	log.FromContext(ctx).Info("Scaled", "from", from, "to", to, "reason", v.decision.Reason, "message", v.decision.Message)
	r.event(pool, corev1.EventTypeNormal, "Scaled", "Scale", fmt.Sprintf("from %d to %d replicas: %s", from, to, v.decision.Message))
}

func (r *PoolReconciler) event(pool *v1alpha1.GearmanWorkerPool, kind, reason, action, note string) {
	r.events.Eventf(pool, nil, kind, reason, action, "%s", note)
}

func learntFrom(l *v1alpha1.LearntStatus) scaling.Learnt {
	if l == nil {
		return scaling.Learnt{}
	}
	out := scaling.Learnt{Boot: time.Duration(l.BootMilliseconds) * time.Millisecond}
	for _, f := range l.Functions {
		out.JobTimes = append(out.JobTimes, scaling.JobTime{Function: f.Name, Time: time.Duration(f.JobMilliseconds) * time.Millisecond})
	}
	return out
}
