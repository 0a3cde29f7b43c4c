package controllers

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/policy"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// statusGap is the least time between two writes of one pool's status. Pods that start and jobs that end change it several times within moments, and
// each write is one for the API server and one for all who watch.
const statusGap = 2 * time.Second

// writeStatus writes the pool's status if what it says has changed. Changed figures alone wait until they are due; the last write was a while ago, or this one
// waits until it was; and all pools' writes together keep to a rate, so this one may have to wait for its turn. It returns for how long.
func (r *PoolReconciler) writeStatus(ctx context.Context, pool *v1alpha1.GearmanWorkerPool, w workload, f facts, v view) (time.Duration, error) {
	key := client.ObjectKeyFromObject(pool)
	now := r.clock.Now()
	status := pool.Status.DeepCopy()
	status.ObservedGeneration = pool.Generation
	status.Functions = strings.Join(policy.Functions(&pool.Spec), ",")
	status.Replicas, status.ReadyReplicas, status.Selector = w.current, w.ready, w.selector
	writtenAt, scaledAt := r.autoscaler.times(key)
	if !scaledAt.IsZero() {
		status.LastScaleTime = new(metav1.NewTime(scaledAt).Rfc3339Copy())
	}
	if !v.at.IsZero() {
		fillDecision(status, v)
	}
	setConditions(&status.Conditions, pool.Generation, f)
	slices.SortFunc(status.Conditions, func(a, b metav1.Condition) int { return strings.Compare(a.Type, b.Type) })

	has := figuresIn(&pool.Status)
	switch {
	case equality.Semantic.DeepEqual(&pool.Status, status):
	case onlyFigures(&pool.Status, status) && (now.Sub(writtenAt) < figuresEvery || !has.moved(figuresIn(status))):
	case !f.polled && f.stall.reason == "" && pool.Status.ObservedGeneration == pool.Generation:
		// A new operator has nothing to say of the job servers yet, and what the last one said is better than that.
	default:
		// Who has just changed the spec waits for the answer, and a change of replicas is always told with its reason.
		wait := statusGap - now.Sub(writtenAt)
		if wait <= 0 || pool.Status.ObservedGeneration != pool.Generation || scaledAt.After(writtenAt) {
			wait = r.pacer.wait(key, now)
		}
		if wait > 0 {
			r.autoscaler.noted(key, v, has, time.Time{})
			return wait, nil
		}
		if err := applyStatus(ctx, r.client, pool, status); err != nil {
			return 0, err
		}
		r.autoscaler.noted(key, v, figuresIn(status), now)
		return 0, nil
	}
	r.pacer.forget(key) // it may have waited with something that no longer holds
	r.autoscaler.noted(key, v, has, time.Time{})
	return 0, nil
}

// onlyFigures reports whether two statuses differ in nothing but figures that move all the time.
func onlyFigures(a, b *v1alpha1.GearmanWorkerPoolStatus) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	for _, s := range []*v1alpha1.GearmanWorkerPoolStatus{a, b} {
		s.Queue, s.Decision.Terms, s.Learnt = v1alpha1.QueueStatus{}, nil, nil
	}
	return equality.Semantic.DeepEqual(a, b)
}

func fillDecision(status *v1alpha1.GearmanWorkerPoolStatus, v view) {
	d := v.decision
	status.DesiredReplicas = d.Replicas
	status.Queue = v1alpha1.QueueStatus{
		Queued: v.queued, Running: v.running,
		OldestWaitSeconds: int64(d.OldestWait.Seconds()), JobMilliseconds: d.JobTime.Milliseconds(),
	}
	status.Servers = make([]v1alpha1.ServerStatus, 0, len(v.sample.Servers))
	for _, s := range v.sample.Servers {
		status.Servers = append(status.Servers, v1alpha1.ServerStatus{Address: serverName(s), State: string(s.State)})
	}
	slices.SortFunc(status.Servers, func(a, b v1alpha1.ServerStatus) int { return strings.Compare(a.Address, b.Address) })
	status.Decision = v1alpha1.DecisionStatus{Reason: string(d.Reason), Message: d.Message, Terms: termsOf(d.Terms)}
	if v.learnt.Boot > 0 || len(v.learnt.JobTimes) > 0 {
		l := &v1alpha1.LearntStatus{BootMilliseconds: v.learnt.Boot.Milliseconds()}
		for _, jt := range v.learnt.JobTimes {
			l.Functions = append(l.Functions, v1alpha1.LearntFunction{Name: jt.Function, JobMilliseconds: jt.Time.Milliseconds()})
		}
		status.Learnt = l
	}
}

// termsOf turns the law's terms into whole numbers, as an API has no fractions: slots and jobs in thousandths, times in milliseconds.
func termsOf(t scaling.Terms) map[string]int64 {
	milli := func(x float64) int64 { return int64(math.Round(x * 1000)) }
	return map[string]int64{
		"queued": int64(t.Queued), "stuck": int64(t.Stuck), "running": int64(t.Running), "foreign": int64(t.Foreign),
		"slots": int64(t.Slots), "startingSlots": int64(t.Starting), "freeSlots": int64(t.Free),
		"missingMilliSlots": milli(t.Missing), "loadMilliSlots": milli(t.Load), "keepMilliSlots": milli(t.Keep), "idleMilliSlots": milli(t.Idle),
		"jobMilliseconds": milli(t.JobSeconds), "bootMilliseconds": milli(t.Boot),
		"oldestWaitMilliseconds": milli(t.OldestWait), "targetWaitMilliseconds": milli(t.Target),
	}
}
