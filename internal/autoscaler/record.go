package autoscaler

import (
	"time"

	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/outcome"
	"github.com/gearman-operator/gearman-operator/internal/policy"
	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
	"github.com/gearman-operator/gearman-operator/internal/sampling"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// Pool is everything that the operator knows of one pool. The registry's lock guards it.
type Pool struct {
	offered  *Spec // that was read last
	accepted *Spec // that could be used as a whole last; nil until one could
	used     *Spec // that polling and scaling go by: the one read last, as far as it can be used; nil until one could

	observed   Observed
	targetPods *TargetPods // of a pool with a target
	claims     []claim     // the functions that it serves, and where
	verdicts   sampling.Verdicts

	state scaling.State
	view  poolstatus.View // of the last decision

	evidence  evidence           // that the last decision was taken on
	plans     *scaling.PlanState // nil if there is nothing to remember
	plannedAt time.Time
	fewerAt   time.Time // when fewer replicas were last wanted without news of the job servers
	lostOne   bool      // a job server was taken out of the spec since the last decision
	heldAt    time.Time // when fewer replicas were last ordered than wanted because pods can't start

	divergedAt time.Time // when the sample came since which replicas differ from the decision; zero while they don't
	divergedUp bool      // the decision asks for more

	scale    *scaleMemory
	scaledAt time.Time // when replicas were last changed
	drift    *drift
	making   *making

	failingSince time.Time // when the current run of failed reconciles began; zero if the last one succeeded

	outcomes  *outcome.Window // what became of jobs; nil until telemetry has counted one
	waits     *outcome.Waits  // which jobs started late; nil until there was one
	oldest    time.Duration   // how long jobs may have waited that are queued when waits begins
	slowStart bool            // pods take longer to start than a job may wait

	conditions []Condition      // that the status shows, as far as metrics report them
	trouble    workload.Trouble // that the conditions show
	written    written
	unseen     unseenStatus
	statusTurn time.Time // when it may write its status; zero if it has nothing to write
	refreshAt  time.Time // when it is reconciled without a cause
}

// Spec is what polling and scaling need of a pool's spec.
type Spec struct {
	Policy policy.Compiled      // what scaling goes by
	Poll   backlog.Subscription // what is polled; AtZero is not the spec's
	kind   scaling.WorkloadKind
	// retries are those of the polled functions in which failed jobs wait for their next attempt.
	retries []string
	// Mode, Runtime and Workload are what gearman_pool_info shows: the scaling mode; exec, stream,
	// http or none; Deployment or StatefulSet.
	Mode, Runtime, Workload string
}

// NewSpec compiles a pool's spec. The error says which field to change; Policy is not to be used
// then.
func NewSpec(pool *v1alpha1.GearmanWorkerPool) (*Spec, error) {
	compiled, err := policy.Compile(&pool.Spec)
	s := pool.Spec.Scaling
	retries := retryFunctions(&pool.Spec)
	return &Spec{
		Policy: compiled, kind: KindOf(&pool.Spec), retries: retries,
		Poll: backlog.Subscription{
			Servers: policy.Servers(&pool.Spec), Functions: append(policy.Functions(&pool.Spec), retries...),
			Period: policy.Poll(&pool.Spec), StaleAfter: policy.StaleAfter(&pool.Spec),
			Doorbell: s != nil && s.Wake == v1alpha1.WakeNotify,
		},
		Mode: string(policy.Mode(&pool.Spec)), Runtime: runtimeOf(pool.Spec.Runtime),
		Workload: workloadOf(pool.Spec.TargetRef),
	}, err
}

// retryFunctions are the functions in which failed jobs of a pool wait for their next attempt.
func retryFunctions(s *v1alpha1.GearmanWorkerPoolSpec) []string {
	if s.Runtime == nil || s.Runtime.Retry == nil {
		return nil
	}
	return sampling.RetryFunctions(policy.Functions(s))
}

// runtimeOf names the mode of a pool's runtime.
func runtimeOf(r *v1alpha1.RuntimeSpec) string {
	if r == nil {
		return "none"
	}
	mode, _ := r.Mode()
	return mode
}

// workloadOf names the kind of workload that a pool scales.
func workloadOf(ref *v1alpha1.TargetRef) string {
	if ref == nil {
		return "Deployment"
	}
	return ref.Kind
}

// Observed is what a reconcile gathered of a pool's workload.
type Observed struct {
	Workload   workload.State
	Pods       []workload.Pod
	RollingOut bool // pods of an older template are being replaced
}

// written is what the API server has of a view, or will have once it is the pool's turn to write
// its status.
type written struct {
	at      time.Time // of the last write
	mark    poolstatus.Mark
	figures poolstatus.Figures
}

// Offer notes the spec that was read last, and returns the one that could be used as a whole last;
// nil if none could.
func (p *Pool) Offer(s *Spec) (accepted *Spec) {
	p.offered = s
	return p.accepted
}

// Accept notes that a spec can be used as a whole.
func (p *Pool) Accept(s *Spec) { p.accepted = s }

// RollingOut reports whether pods of an older template are being replaced. A new operator goes by
// what the pool's conditions say; the pool's status in the cache may be older than what was found
// last.
func (p *Pool) RollingOut(w *workload.State, byConditions bool) bool {
	before := byConditions
	if p.used != nil {
		before = p.observed.RollingOut
	}
	return w.RollingOut(before)
}

// TargetPods is what was last read of the target's pods; the zero value if nothing was.
func (p *Pool) TargetPods() TargetPods {
	if p.targetPods == nil {
		return TargetPods{}
	}
	return *p.targetPods
}

// SetTargetPods notes what was read of the target's pods.
func (p *Pool) SetTargetPods(t TargetPods) { p.targetPods = &t }

// Failed notes that a reconcile failed, and returns for how long all have.
func (p *Pool) Failed(now time.Time) time.Duration {
	if p.failingSince.IsZero() {
		p.failingSince = now
	}
	return now.Sub(p.failingSince)
}

// Succeeded notes that a reconcile did not fail.
func (p *Pool) Succeeded() { p.failingSince = time.Time{} }

// HeldBack notes whether fewer replicas are ordered than wanted because pods can't start, and
// returns what the conditions are to say, and for how long that holds at least. They go on for a
// while: a container that crashes again and again runs in between.
func (p *Pool) HeldBack(limited bool, now time.Time) (held bool, remaining time.Duration) {
	if limited {
		p.heldAt = now
	}
	if p.heldAt.IsZero() {
		return false, 0
	}
	remaining = p.heldAt.Add(poolstatus.Calm).Sub(now)
	return remaining > 0, remaining
}

// Remember notes how long the oldest queued job had waited by the pool's status, unless the pool
// has been decided on: a new operator knows of the queue's past only that.
func (p *Pool) Remember(oldest time.Duration) {
	if p.used == nil {
		p.oldest = oldest
	}
}

// Trouble is what the conditions show to keep pods from starting.
func (p *Pool) Trouble() workload.Trouble { return p.trouble }

// SetTrouble notes what the conditions show to keep pods from starting.
func (p *Pool) SetTrouble(t workload.Trouble) { p.trouble = t }

// Times are when the pool's status was last written and when its replicas were last changed, as far
// as this operator did it.
func (p *Pool) Times() (written, scaled time.Time) { return p.written.at, p.scaledAt }

// unseenStatus is the status that was written last, until the cache shows it or a later one.
type unseenStatus struct {
	version string // the resource version that the write made
	status  *v1alpha1.GearmanWorkerPoolStatus
}

// WroteStatus remembers a status that was written, and the resource version that this made.
func (p *Pool) WroteStatus(version string, status *v1alpha1.GearmanWorkerPoolStatus) {
	p.unseen = unseenStatus{version, status}
}

// UnseenStatus returns a copy of the status that was written last if the cache, which shows the
// pool at this version, is behind it; nil if it isn't, or if that can't be known.
func (p *Pool) UnseenStatus(version string) *v1alpha1.GearmanWorkerPoolStatus {
	p.seen(version)
	return p.unseen.status.DeepCopy() // nil if it was seen
}

// seen forgets the status that was written last, unless the cache, which shows the pool at this
// version, is behind it.
func (p *Pool) seen(version string) {
	if p.unseen.status == nil {
		return
	}
	if order, err := resourceversion.CompareResourceVersion(version, p.unseen.version); err != nil || order >= 0 {
		p.unseen = unseenStatus{}
	}
}

// GiveUpTurn ends the wait for a turn to write the pool's status: there is nothing to write any
// more.
func (p *Pool) GiveUpTurn() { p.statusTurn = time.Time{} }

// Noted says what of the view v needs no further reconcile, since the API server has it or will be
// told of it: has is what it has now, at when it was last written, zero if it wasn't.
func (p *Pool) Noted(v *poolstatus.View, has poolstatus.Figures, at time.Time) {
	if p.used == nil {
		return
	}
	p.written.mark, p.written.figures = poolstatus.MarkOf(v), has
	if !at.IsZero() {
		p.written.at = at
	}
}
