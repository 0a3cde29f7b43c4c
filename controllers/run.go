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

	spec     *autoscaler.Spec // what polling and scaling go by: the pool's spec, as far as it can be used
	accepted *autoscaler.Spec // what could be used as a whole last; nil if nothing could
	workload workload.State
	pods     []workload.Pod

	template template         // what is to be written of the Deployment's template
	failed   error            // what has to be tried again, though the reconcile went on
	facts    poolstatus.Facts // what the status is made from
	refresh  time.Duration    // when to reconcile without a cause
}

// template is what is to be written of the Deployment's template.
type template struct {
	deployment *appsv1ac.DeploymentApplyConfiguration // nil: it is up to date
	inputs     string                                 // the hash of what it is made from
	image      string                                 // of its runtime
	create     bool
	restore    bool // it puts back what somebody else has edited
}

func newRun(pool *v1alpha1.GearmanWorkerPool) *run {
	return &run{
		key: client.ObjectKeyFromObject(pool), pool: pool, refresh: autoscaler.RefreshEvery,
		facts: poolstatus.Facts{
			Generation: pool.Generation, Mode: policy.Mode(&pool.Spec), Functions: policy.Functions(&pool.Spec),
		},
	}
}

// errStalled ends a reconcile's steps: the pool cannot work until somebody changes something. The
// facts say what.
var errStalled = errors.New("stalled")

// stalled notes what somebody has to change before the pool can work.
func (x *run) stalled(reason, message string) (ctrl.Result, error) {
	x.facts.Stall = poolstatus.Stall{Reason: reason, Message: message}
	return ctrl.Result{}, errStalled
}

// unusable notes what somebody has to change before the pool's spec can be used as a whole. What
// runs goes on; a pool of which nothing runs is stalled.
func (x *run) unusable(reason, message string) (ctrl.Result, error) {
	scaledBefore := x.pool.Spec.TargetRef == nil || x.accepted != nil || x.pool.Status.Decision.Reason != ""
	if !x.workload.Exists || x.workload.Foreign || !scaledBefore {
		return x.stalled(reason, message)
	}
	if x.facts.Stall.Reason == "" {
		x.facts.Stall = poolstatus.Stall{Reason: reason, Message: message, GoesOn: true}
	}
	return ctrl.Result{}, nil
}

// pollAsBefore has the pool polled as the last spec says that could be used as a whole, since its
// workers still run by that one.
func (x *run) pollAsBefore() {
	if x.accepted != nil {
		x.spec.Poll = x.accepted.Poll
	}
}

// suspend takes out of the run what was decided before the pool stalled.
func (x *run) suspend() {
	x.facts.View, x.facts.Shared, x.facts.Trouble, x.facts.NoWorker = poolstatus.View{}, nil, "", false
	x.refresh = refreshSecretsEvery
}

// invalidTemplate notes that the pool's template can't be used. The pods of the one before go on,
// and are polled for as before.
func (x *run) invalidTemplate(err error) (ctrl.Result, error) {
	x.facts.Stall = poolstatus.Stall{}
	x.pollAsBefore()
	return x.unusable(poolstatus.ReasonInvalidPodTemplate, err.Error())
}

// noteFailure notes that the API server refuses the pods. Replicas are still kept right, so that it
// goes on by itself once they are let in.
func (x *run) noteFailure() {
	if x.workload.Failure != "" {
		x.facts.Stall = poolstatus.Stall{Reason: poolstatus.ReasonPodsRefused, Message: x.workload.Failure}
	}
}

// failingFor is how long reconciles must have failed before the status shows it: most failures are
// over with the next try.
const failingFor = 10 * time.Second

// noteFailing notes that a reconcile failed, and what the conditions are to say of it: nothing at
// first, and while it goes on always the same, though the text of the error may change.
func (r *PoolReconciler) noteFailing(x *run, failure error) {
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
