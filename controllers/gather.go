package controllers

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/autoscaler"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

const (
	// unseenRetry is how soon a created Deployment is read again if its event does not trigger a
	// reconcile.
	unseenRetry = time.Second
	// targetPodsInterval is the least time between two lists of a target's pods. A rollout of many
	// pods changes the target's status several times a second, and each list may return a thousand
	// pods.
	targetPodsInterval = 2 * time.Second
	// movingPodsRefresh is how old the list of a target's pods may be while some of them start or
	// end, which the target's status does not always show.
	movingPodsRefresh = 5 * time.Second
)

// readWorkload reads the pool's Deployment, or its target, with the replicas that the operator
// wrote last.
func (r *PoolReconciler) readWorkload(ctx context.Context, x *run) (result ctrl.Result, err error) {
	if x.workload, err = gatherWorkload(ctx, r.client, x.pool); err != nil {
		return ctrl.Result{}, err
	}
	reported := meta.IsStatusConditionTrue(x.pool.Status.Conditions, v1alpha1.ConditionReconciling)
	r.pools.Do(x.key, func(p *autoscaler.Pool) {
		if p.Unseen(&x.workload, r.clock.Now()) {
			result.RequeueAfter = unseenRetry
			return
		}
		x.workload.Replicas = p.PresentReplicas(&x.workload)
		x.facts.RollingOut = p.RollingOut(&x.workload, reported)
	})
	x.facts.Workload = x.workload
	x.facts.Sidecars = workload.SidecarsThatStopFirst(&x.pool.Spec)
	return result, nil
}

// readPods reads the pool's pods, its own or its target's, and records when to read them again.
func (r *PoolReconciler) readPods(ctx context.Context, x *run) (result ctrl.Result, err error) {
	if x.pool.Spec.TargetRef == nil {
		x.pods, err = gatherPods(ctx, r.client, x.pool)
		x.facts.Unowned = slices.ContainsFunc(
			x.pods, func(p workload.Pod) bool { return p.Marks.Unowned && !p.Terminating },
		)
		return ctrl.Result{}, err
	}
	x.facts.IsTarget = true
	read, err := r.gatherTargetPods(ctx, x)
	x.pods, x.refresh = read.Pods, secretsRefresh
	switch {
	case read.Version != x.workload.Version:
		x.refresh = max(time.Millisecond, targetPodsInterval-r.clock.Since(read.At))
	case read.Moving:
		x.refresh = movingPodsRefresh
	}
	return ctrl.Result{}, err
}

// readSpec validates and compiles the rules for polling and scaling. If its scaling rules can't be
// used, the last valid ones are; if there are none, as after a restart, the pool is scaled within
// its bounds without rules.
func (r *PoolReconciler) readSpec(_ context.Context, x *run) (ctrl.Result, error) {
	offered, invalid := autoscaler.NewSpec(x.pool)
	r.pools.Do(x.key, func(p *autoscaler.Pool) { x.accepted = p.Offer(offered) })
	x.spec = offered
	switch {
	case invalid == nil:
		return ctrl.Result{}, nil
	case x.accepted != nil:
		x.spec.Policy = x.accepted.Policy
	default:
		bounds := x.pool.DeepCopy()
		bounds.Spec.Scaling.Schedules, bounds.Spec.Scaling.Behavior = nil, nil
		withoutRules, err := autoscaler.NewSpec(bounds)
		if err != nil {
			return x.stalled(poolstatus.ReasonInvalidScaling, invalid.Error())
		}
		x.spec.Policy = withoutRules.Policy
	}
	return x.unusable(poolstatus.ReasonInvalidScaling, invalid.Error())
}

// readTLSMaterial checks the Secrets that TLS with the job servers needs. They are read again
// before each dial, so that a rotated certificate needs no restart; if they can't be used then, the
// last valid ones are.
func (r *PoolReconciler) readTLSMaterial(ctx context.Context, x *run) (ctrl.Result, error) {
	if x.pool.Spec.TLS == nil {
		return ctrl.Result{}, nil
	}
	pool := x.pool
	last, id, err := readTLS(ctx, r.live, pool)
	reason := poolstatus.ReasonInvalidTLS
	if errors.Is(err, errSecretsNotReadable) {
		reason = poolstatus.ReasonSecretsNotReadable
	} else if _, invalid := errors.AsType[invalidTLSError](err); err != nil && !invalid {
		return ctrl.Result{}, err
	}
	x.spec.Poll.TLS = &backlog.TLS{Identity: id, Config: func(ctx context.Context) (*tls.Config, error) {
		cfg, _, err := readTLS(ctx, r.live, pool)
		if err != nil && last != nil {
			return last, nil
		}
		return cfg, err
	}}
	if err != nil {
		// a connection of its own, which isn't opened before there is TLS material for it
		x.spec.Poll.TLS.Identity = pool.Namespace + "/unusable/" + pool.Name
		x.pollAsBefore()
		return x.unusable(reason, err.Error())
	}
	return ctrl.Result{}, nil
}

// checkOwner checks that the pool may set the workload's replicas: it belongs neither to another
// owner nor to another pool.
func (r *PoolReconciler) checkOwner(ctx context.Context, x *run) (ctrl.Result, error) {
	ref := x.pool.Spec.TargetRef
	switch {
	case ref == nil && x.workload.Foreign:
		return x.stalled(poolstatus.ReasonNameTaken,
			fmt.Sprintf(
				"a Deployment %s exists that is not this pool's: rename the pool, or remove the Deployment",
				x.pool.Name,
			))
	case ref == nil && !x.workload.Exists:
		return r.delayRecreate(x)
	case ref == nil:
		return ctrl.Result{}, nil
	case !x.workload.Exists:
		return x.stalled(poolstatus.ReasonTargetNotFound,
			fmt.Sprintf(
				"there is no %s %s in namespace %s: create it, or correct targetRef", ref.Kind, ref.Name,
				x.pool.Namespace,
			))
	}
	other, err := r.otherPool(ctx, x)
	if err != nil || other == "" {
		return ctrl.Result{}, err
	}
	return x.stalled(
		poolstatus.ReasonTargetTaken,
		fmt.Sprintf("pool %s scales %s %s already: delete one of the two pools", other, ref.Kind, ref.Name),
	)
}

// delayRecreate delays the pool's next Deployment if one after the other is deleted, perhaps
// because the pool is deleted and the cache doesn't show it yet.
func (r *PoolReconciler) delayRecreate(x *run) (result ctrl.Result, err error) {
	var contested bool
	r.pools.Do(x.key, func(p *autoscaler.Pool) { result.RequeueAfter, contested = p.RecreateWait(r.clock.Now()) })
	if contested {
		return x.stalled(poolstatus.ReasonContested,
			"somebody else keeps deleting the Deployment: stop them, or delete the pool")
	}
	return result, nil
}

// otherPool returns the pool to which the target belongs, or an older one that scales it. Of two
// pools with one target the older one scales it.
func (r *PoolReconciler) otherPool(ctx context.Context, x *run) (string, error) {
	if x.workload.Owner != "" {
		return x.workload.Owner, nil
	}
	pools, err := r.poolsOf(ctx, x.pool.Namespace, indexTarget(x.pool)[0])
	if err != nil {
		return "", err
	}
	for i := range pools {
		other := &pools[i]
		if other.UID == x.pool.UID || !other.DeletionTimestamp.IsZero() {
			continue
		}
		if cmp.Or(
			other.CreationTimestamp.Compare(x.pool.CreationTimestamp.Time), strings.Compare(other.Name, x.pool.Name),
		) < 0 {
			return other.Name, nil
		}
	}
	return "", nil
}

// gatherTargetPods reads the pods of a pool's target. They don't carry the operator's label, so the
// cache does not hold them; they are read from the API server when the target's status has changed,
// and periodically.
func (r *PoolReconciler) gatherTargetPods(ctx context.Context, x *run) (autoscaler.TargetPods, error) {
	w := &x.workload
	if !w.Exists {
		return autoscaler.TargetPods{}, nil
	}
	now := r.clock.Now()
	var known autoscaler.TargetPods
	r.pools.Do(x.key, func(p *autoscaler.Pool) { known = p.TargetPods() })
	age := now.Sub(known.At)
	if !known.At.IsZero() && age < targetPodsInterval {
		return known, nil
	}
	if known.Version == w.Version && age < secretsRefresh && (!known.Moving || age < movingPodsRefresh) {
		return known, nil
	}
	var list corev1.PodList
	if err := r.live.List(
		ctx, &list, client.InNamespace(x.pool.Namespace), client.MatchingLabelsSelector{Selector: w.PodSelector},
	); err != nil {
		return autoscaler.TargetPods{}, fmt.Errorf("list the pods of %s's target: %w", x.key, err)
	}
	read := autoscaler.TargetPods{Version: w.Version, At: now}
	for i := range list.Items {
		p := &list.Items[i]
		if workload.Ended(p) || !workload.BelongsTo(p, x.pool.Spec.TargetRef, w.UID) {
			continue
		}
		q := workload.OfPod(p, workload.TroubleOf(p), workload.MarksOf(p, x.pool.Spec.TargetRef.Name))
		read.Moving = read.Moving || q.Terminating || !q.Ready
		read.Pods = append(read.Pods, q)
	}
	workload.SortPods(read.Pods)
	r.pools.Do(x.key, func(p *autoscaler.Pool) { p.SetTargetPods(read) })
	return read, nil
}

// gatherPods reads the pool's pods, oldest first, except for those that have ended.
func gatherPods(ctx context.Context, c client.Reader, pool *v1alpha1.GearmanWorkerPool) ([]workload.Pod, error) {
	var list corev1.PodList
	if err := c.List(
		ctx, &list, client.InNamespace(pool.Namespace), client.MatchingFields{poolIndex: pool.Name},
	); err != nil {
		return nil, fmt.Errorf("list the pods of %s: %w", client.ObjectKeyFromObject(pool), err)
	}
	pods := make([]workload.Pod, 0, len(list.Items))
	for i := range list.Items {
		if p := &list.Items[i]; !workload.Ended(p) {
			pods = append(pods, workload.OfPod(p, cachedTrouble(p), cachedMarks(p)))
		}
	}
	workload.SortPods(pods)
	return pods, nil
}

// gatherWorkload reads the pool's Deployment, or its target. It returns the zero value if there is
// none.
func gatherWorkload(ctx context.Context, c client.Reader, pool *v1alpha1.GearmanWorkerPool) (workload.State, error) {
	kind, key := "Deployment", client.ObjectKeyFromObject(pool)
	if ref := pool.Spec.TargetRef; ref != nil {
		kind, key.Name = ref.Kind, ref.Name
	}
	if kind == "StatefulSet" {
		var s appsv1.StatefulSet
		if err := c.Get(ctx, key, &s); err != nil {
			return workload.State{}, notFoundOr(err, "read StatefulSet %s", key)
		}
		out, err := workload.OfStatefulSet(&s)
		out.OwnReplicas = cachedOwnReplicas(&s)
		return out, err
	}
	var d appsv1.Deployment
	if err := c.Get(ctx, key, &d); err != nil {
		return workload.State{}, notFoundOr(err, "read Deployment %s", key)
	}
	out, err := workload.OfDeployment(&d, pool, cachedOwnedFields(&d))
	out.OwnReplicas = cachedOwnReplicas(&d)
	return out, err
}

func notFoundOr(err error, format string, args ...any) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}
