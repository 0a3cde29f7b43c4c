package controllers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gearman-operator/gearman-operator/internal/autoscaler"
	"github.com/gearman-operator/gearman-operator/internal/diagnosis"
	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// statusGap is the least time between two writes of one pool's status. Starting pods and ending
// jobs change it several times within moments, and each write costs the API server and all its
// watchers.
const statusGap = 2 * time.Second

// applyTemplate creates the pool's Deployment, or updates its template.
func (r *PoolReconciler) applyTemplate(ctx context.Context, x *run) (ctrl.Result, error) {
	t := x.template
	if t.deployment == nil {
		return ctrl.Result{}, nil
	}
	var a autoscaler.Applied
	var err error
	if t.create {
		if a, err = createDeployment(ctx, r.client, t.deployment); a.UID != "" {
			r.pools.Do(x.key, func(p *autoscaler.Pool) { p.RecordCreated(r.clock.Now()) })
		}
	} else {
		a, err = updateDeployment(ctx, r.client, t.deployment, &x.workload)
	}
	switch {
	case err == nil:
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		// Nothing can be created there; the pool is deleted too.
		return x.stalled(poolstatus.ReasonNamespaceEnds, "the namespace is being deleted")
	case isUIDConflict(err):
		return ctrl.Result{}, err
	case apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err):
		return x.invalidTemplate(err)
	case t.create:
		return ctrl.Result{}, err
	default:
		// It is retried; the existing pods are scaled meanwhile.
		x.failed = err
		r.recordFailing(x, err)
		x.pollAsBefore()
		return ctrl.Result{}, nil
	}
	r.pools.Do(x.key, func(p *autoscaler.Pool) { p.WroteTemplate(a, t.create, t.restore, r.clock.Now()) })
	if t.restore {
		r.event(
			x.pool, corev1.EventTypeNormal, "TemplateRestored", "Update",
			"somebody changed the Deployment; the operator restored the pool's settings",
		)
	}
	if t.create {
		x.workload = workload.State{Exists: true, Inputs: t.inputs, RuntimeImage: t.image}
	}
	w := &x.workload
	w.UID, w.Generation, w.Unsettled, w.Replacing = a.UID, a.Generation, true, true
	x.facts.Workload, x.facts.RollingOut = *w, true
	return ctrl.Result{}, nil
}

// applyReplicas sets the workload's replicas to the decision's, as far as the pods to remove are
// marked, unless another writer keeps changing them.
func (r *PoolReconciler) applyReplicas(ctx context.Context, x *run) (ctrl.Result, error) {
	v := &x.facts.View
	var plan autoscaler.Plan
	r.pools.Do(x.key, func(p *autoscaler.Pool) {
		x.facts.Contested = p.ObserveReplicas(&x.workload, x.facts.Mode, r.clock.Now())
		plan.Replicas = x.workload.Replicas
		if v.Decision.Apply && !x.facts.Contested && !v.At.IsZero() {
			plan = p.PlanReplicas(&x.workload, x.pods, autoscaler.KindOf(&x.pool.Spec), v, r.clock.Now())
		}
	})
	x.facts.Removal = plan.Removal
	r.recordHeldBack(x, plan.Order.Limited)
	var failed error
	for _, c := range plan.Costs {
		if err := applyDeletionCost(ctx, r.scale, x.pool.Namespace, c.Pod, c.Cost); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	if failed != nil {
		// The rule repeats them; only the choice of pods suffers, and the replicas don't wait for a
		// patch.
		log.FromContext(ctx).Error(failed, "Pods could not be marked for removal", "pods", len(plan.Costs))
	}
	if plan.Replicas == x.workload.Replicas {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{}, r.writeReplicas(ctx, x, plan.Replicas)
}

// recordHeldBack records whether scaling up is held back because pods can't start, and schedules a
// reconcile for when that ends.
func (r *PoolReconciler) recordHeldBack(x *run, limited bool) {
	var remaining time.Duration
	r.pools.Do(x.key, func(p *autoscaler.Pool) { x.facts.HeldBack, remaining = p.HeldBack(limited, r.clock.Now()) })
	if x.facts.HeldBack {
		x.refresh = min(x.refresh, remaining)
	}
}

// writeReplicas sets the workload's replicas. The API server's answer counts: admission may have
// changed them, or left them unchanged.
func (r *PoolReconciler) writeReplicas(ctx context.Context, x *run, replicas int32) error {
	r.pools.Do(x.key, func(p *autoscaler.Pool) { p.WillWriteReplicas(replicas) })
	from, generation := x.workload.Replicas, x.workload.Generation
	var to int32
	var err error
	if ref := x.pool.Spec.TargetRef; ref != nil {
		if to, err = scaleTarget(ctx, r.scale, x.pool.Namespace, ref, replicas); to != from {
			generation++ // a scale has no generation; each change of replicas adds one
		}
	} else {
		to, generation, err = patchReplicas(ctx, r.scale, x.pool.Namespace, x.pool.Name, x.workload.UID, replicas)
	}
	if err != nil {
		return err
	}
	r.pools.Do(x.key, func(p *autoscaler.Pool) { p.WroteReplicas(to, generation) })
	if to == from {
		log.FromContext(ctx).Info("The API server left the replicas as they were", "replicas", from, "asked", replicas)
		return nil
	}
	r.pools.Scaled(x.key)
	// The log and the event use the status's words.
	d := &x.facts.View.Decision
	log.FromContext(ctx).Info("Scaled", "from", from, "to", to, "reason", d.Reason, "message", d.Message)
	r.event(
		x.pool, corev1.EventTypeNormal, "Scaled", "Scale",
		fmt.Sprintf("from %d to %d replicas: %s", from, to, d.Message),
	)
	return nil
}

// writeStatus writes the pool's status if it has changed. Changed figures alone wait until they are
// due; two writes of a pool are at least statusGap apart; and the writes of all pools together are
// rate-limited, so this one may have to wait. It returns for how long.
func (r *PoolReconciler) writeStatus(ctx context.Context, x *run) (wait time.Duration, err error) {
	pool, f, now := x.pool, &x.facts, r.clock.Now()
	var writtenAt time.Time
	r.pools.Do(x.key, func(p *autoscaler.Pool) { writtenAt, f.ScaledAt = p.Times() })
	status, has := poolstatus.Build(&pool.Status, f), poolstatus.FiguresIn(&pool.Status)
	r.pools.Do(x.key, func(p *autoscaler.Pool) { p.SetConditions(status.Conditions) })
	if !poolstatus.WorthWriting(&pool.Status, status, f, now.Sub(writtenAt)) {
		r.pools.Do(x.key, func(p *autoscaler.Pool) {
			p.CancelStatusWrite() // it may have waited with a status that is outdated
			p.RecordReported(&f.View, has, time.Time{})
		})
		return 0, nil
	}
	// A user who has just changed the spec waits for the result, and a change of replicas is always
	// reported with its reason.
	wait = statusGap - now.Sub(writtenAt)
	if wait <= 0 || pool.Status.ObservedGeneration != pool.Generation || f.ScaledAt.After(writtenAt) {
		wait = r.pools.StatusWait(x.key, now)
	}
	if wait > 0 {
		r.pools.Do(x.key, func(p *autoscaler.Pool) { p.RecordReported(&f.View, has, time.Time{}) })
		return wait, nil
	}
	if err := r.applyStatus(ctx, x, status); err != nil {
		return 0, err
	}
	r.pools.Do(x.key, func(p *autoscaler.Pool) { p.RecordReported(&f.View, poolstatus.FiguresIn(status), now) })
	for _, p := range diagnosis.New(pool.Status.Conditions, status.Conditions) {
		r.event(pool, corev1.EventTypeWarning, p.Reason, "Observe", cmp.Or(p.Why, p.Title))
	}
	return 0, nil
}
