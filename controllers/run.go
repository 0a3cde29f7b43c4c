package controllers

import (
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/autoscaler"
	"github.com/gearman-operator/gearman-operator/internal/policy"
	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// run is one reconcile of one pool: what its steps have found so far.
type run struct {
	key  types.NamespacedName
	pool *v1alpha1.GearmanWorkerPool

	spec     *autoscaler.Spec // the rules for polling and scaling: the pool's spec, as far as it is valid
	accepted *autoscaler.Spec // the last spec that was valid as a whole; nil if none was
	workload workload.State
	pods     []workload.Pod

	template template         // the change to write to the Deployment's template
	failed   error            // what must be retried, though the reconcile continued
	facts    poolstatus.Facts // what the status is made from
	refresh  time.Duration    // when to reconcile without an event
}

// template is the change to write to the Deployment's template.
type template struct {
	deployment *appsv1ac.DeploymentApplyConfiguration // nil: it is up to date
	inputs     string                                 // the hash of its inputs
	image      string                                 // of its runtime
	create     bool
	restore    bool // it reverts another writer's edit
}

func newRun(pool *v1alpha1.GearmanWorkerPool) *run {
	return &run{
		key: client.ObjectKeyFromObject(pool), pool: pool, refresh: autoscaler.RefreshEvery,
		facts: poolstatus.Facts{
			Generation: pool.Generation, Mode: policy.Mode(&pool.Spec), Functions: policy.Functions(&pool.Spec),
		},
	}
}

// errStalled ends a reconcile's steps: the pool cannot work until a user changes something. The
// facts say what.
var errStalled = errors.New("stalled")

// stalled records what a user must change before the pool can work.
func (x *run) stalled(reason, message string) (ctrl.Result, error) {
	x.facts.Stall = poolstatus.Stall{Reason: reason, Message: message}
	return ctrl.Result{}, errStalled
}

// unusable records what a user must change before the pool's spec is valid as a whole. A running
// workload continues; a pool without one is stalled.
func (x *run) unusable(reason, message string) (ctrl.Result, error) {
	scaledBefore := x.pool.Spec.TargetRef == nil || x.accepted != nil || x.pool.Status.Decision.Reason != ""
	if !x.workload.Exists || x.workload.Foreign || !scaledBefore {
		return x.stalled(reason, message)
	}
	if x.facts.Stall.Reason == "" {
		x.facts.Stall = poolstatus.Stall{Reason: reason, Message: message, KeepsRunning: true}
	}
	return ctrl.Result{}, nil
}

// pollAsBefore keeps polling by the last spec that was valid as a whole, since the workers still
// run with it.
func (x *run) pollAsBefore() {
	if x.accepted != nil {
		x.spec.Poll = x.accepted.Poll
	}
}

// suspend drops what was decided before the pool stalled.
func (x *run) suspend() {
	x.facts.View, x.facts.Shared, x.facts.Trouble, x.facts.NoWorker = poolstatus.View{}, nil, "", false
	x.refresh = secretsRefresh
}

// invalidTemplate records that the pool's template can't be used. The pods of the previous one
// continue, and are polled for as before.
func (x *run) invalidTemplate(err error) (ctrl.Result, error) {
	x.facts.Stall = poolstatus.Stall{}
	x.pollAsBefore()
	return x.unusable(poolstatus.ReasonInvalidPodTemplate, err.Error())
}

// recordFailure records that the API server rejects the pods. Replicas are still kept right, so
// that the pool recovers by itself once they are admitted.
func (x *run) recordFailure() {
	if x.workload.Failure != "" {
		x.facts.Stall = poolstatus.Stall{Reason: poolstatus.ReasonPodsRefused, Message: x.workload.Failure}
	}
}

// failingFor is how long reconciles must have failed before the status shows it: most failures end
// with the next retry.
const failingFor = 10 * time.Second

// recordFailing records that a reconcile failed, and what the conditions report: nothing at first,
// and then the same message as long as it lasts, though the error's text may change.
func (r *PoolReconciler) recordFailing(x *run, failure error) {
	var since time.Duration
	r.pools.Do(x.key, func(p *autoscaler.Pool) { since = p.Failed(r.clock.Now()) })
	ready := meta.FindStatusCondition(x.pool.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case since < failingFor:
	case ready != nil && ready.Reason == poolstatus.ReasonRetrying:
		x.facts.Retrying = ready.Message
	default:
		x.facts.Retrying = failure.Error()
	}
}

func (r *PoolReconciler) event(pool *v1alpha1.GearmanWorkerPool, kind, reason, action, note string) {
	r.events.Eventf(pool, nil, kind, reason, action, "%s", note)
}
