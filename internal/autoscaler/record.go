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

// Pool is the operator's state of one pool. The registry's lock guards it.
type Pool struct {
	offered  *Spec // the last one read
	accepted *Spec // the last one that was valid as a whole; nil if none was
	used     *Spec // in use for polling and scaling: the last one read, as far as it is valid; nil until one was

	observed   Observed
	targetPods *TargetPods // if the pool has a target
	claims     []claim     // the functions that it serves, and their job servers
	verdicts   sampling.Verdicts

	state scaling.State
	view  poolstatus.View // of the last decision

	evidence      evidence           // of the last decision
	plans         *scaling.PlanState // nil if there is no state to keep
	plannedAt     time.Time
	fewerAt       time.Time // when fewer replicas were last wanted without a new answer of the job servers
	serverRemoved bool      // a job server was removed from the spec since the last decision
	heldAt        time.Time // when fewer replicas were last ordered than wanted because pods can't start

	divergedAt time.Time // the time of the sample since which replicas differ from the decision; zero while they don't
	divergedUp bool      // the decision wants more

	scale      *scaleRecord
	scaledAt   time.Time // when replicas were last changed
	drift      *drift
	recreation *recreation

	failingSince time.Time // when the current run of failed reconciles began; zero if the last one succeeded

	outcomes  *outcome.Window // how jobs ended; nil until telemetry has counted one
	waits     *outcome.Waits  // which jobs started late; nil until there was one
	oldest    time.Duration   // how long the jobs that were queued when waits began may have waited by then
	slowStart bool            // pods take longer to start than a job may wait

	conditions  []Condition      // of the status, as far as metrics report them
	trouble     workload.Trouble // as the conditions show it
	written     written
	unseen      unseenStatus
	statusDueAt time.Time // when it may write its status; zero if there is nothing to write
	refreshAt   time.Time // when it is reconciled without an event
}

// Spec is the part of a pool's spec that polling and scaling need.
type Spec struct {
	Policy policy.Compiled      // the rules for scaling
	Poll   backlog.Subscription // the poller's subscription; AtZero is not part of the spec
	kind   scaling.WorkloadKind
	// retries are those of the polled functions in which failed jobs wait for their next attempt.
	retries []string
	// Mode, Runtime and Workload are what gearman_pool_info shows: the scaling mode; exec, stream,
	// http or none; Deployment or StatefulSet.
	Mode, Runtime, Workload string
}

// NewSpec compiles a pool's spec. The error says which field to change; Policy must not be used
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

// Observed is a pool's workload as a reconcile gathered it.
type Observed struct {
	Workload   workload.State
	Pods       []workload.Pod
	RollingOut bool // pods of an older template are being replaced
}

// written is what the API server has of a view, or will have once the pool may write its status.
type written struct {
	at      time.Time // of the last write
	mark    poolstatus.Mark
	figures poolstatus.Figures
}

// Offer records the last spec read, and returns the last one that was valid as a whole; nil if none
// was.
func (p *Pool) Offer(s *Spec) (accepted *Spec) {
	p.offered = s
	return p.accepted
}

// Accept records that a spec is valid as a whole.
func (p *Pool) Accept(s *Spec) { p.accepted = s }

// RollingOut reports whether pods of an older template are being replaced. A new operator uses the
// pool's conditions; later the record counts, since the pool's status in the cache may be older.
func (p *Pool) RollingOut(w *workload.State, byConditions bool) bool {
	before := byConditions
	if p.used != nil {
		before = p.observed.RollingOut
	}
	return w.RollingOut(before)
}

// TargetPods returns what was last read of the target's pods, the zero value before that.
func (p *Pool) TargetPods() TargetPods {
	if p.targetPods == nil {
		return TargetPods{}
	}
	return *p.targetPods
}

// SetTargetPods records what was read of the target's pods.
func (p *Pool) SetTargetPods(t TargetPods) { p.targetPods = &t }

// Failed records that a reconcile failed, and returns how long all have.
func (p *Pool) Failed(now time.Time) time.Duration {
	if p.failingSince.IsZero() {
		p.failingSince = now
	}
	return now.Sub(p.failingSince)
}

// Succeeded records that a reconcile did not fail.
func (p *Pool) Succeeded() { p.failingSince = time.Time{} }

// HeldBack records whether fewer replicas are ordered than wanted because pods can't start, and
// returns what the conditions should report, and for how long at least. They keep reporting it for
// a while: a crashing container runs between crashes.
func (p *Pool) HeldBack(limited bool, now time.Time) (held bool, remaining time.Duration) {
	if limited {
		p.heldAt = now
	}
	if p.heldAt.IsZero() {
		return false, 0
	}
	remaining = p.heldAt.Add(poolstatus.FixedAfter).Sub(now)
	return remaining > 0, remaining
}

// SetOldestWait records how long the oldest queued job had waited by the pool's status, unless the
// pool has been decided on: a new operator has no other knowledge of the queue's past.
func (p *Pool) SetOldestWait(oldest time.Duration) {
	if p.used == nil {
		p.oldest = oldest
	}
}

// Trouble returns what keeps pods from starting as the conditions show it.
func (p *Pool) Trouble() workload.Trouble { return p.trouble }

// SetTrouble records what keeps pods from starting as the conditions show it.
func (p *Pool) SetTrouble(t workload.Trouble) { p.trouble = t }

// Times returns when this operator last wrote the pool's status and last changed its replicas.
func (p *Pool) Times() (written, scaled time.Time) { return p.written.at, p.scaledAt }

// unseenStatus is the last written status, until the cache shows it or a later one.
type unseenStatus struct {
	version string // the resource version after the write
	status  *v1alpha1.GearmanWorkerPoolStatus
}

// WroteStatus records a written status, and the resource version after the write.
func (p *Pool) WroteStatus(version string, status *v1alpha1.GearmanWorkerPoolStatus) {
	p.unseen = unseenStatus{version, status}
}

// UnseenStatus returns a copy of the last written status if the cache, which shows the pool at this
// version, is behind it; nil if it isn't, or if that is unknown.
func (p *Pool) UnseenStatus(version string) *v1alpha1.GearmanWorkerPoolStatus {
	p.seen(version)
	return p.unseen.status.DeepCopy() // nil if it was seen
}

// seen drops the last written status, unless the cache, which shows the pool at this version, is
// behind it.
func (p *Pool) seen(version string) {
	if p.unseen.status == nil {
		return
	}
	if order, err := resourceversion.CompareResourceVersion(version, p.unseen.version); err != nil || order >= 0 {
		p.unseen = unseenStatus{}
	}
}

// CancelStatusWrite ends the wait for the pool's status write: there is nothing to write any more.
func (p *Pool) CancelStatusWrite() { p.statusDueAt = time.Time{} }

// RecordReported records how much of the view v needs no further reconcile, since the API server
// has it or will get it: has is what it has now, at when it was last written, zero if it wasn't.
func (p *Pool) RecordReported(v *poolstatus.View, has poolstatus.Figures, at time.Time) {
	if p.used == nil {
		return
	}
	p.written.mark, p.written.figures = poolstatus.MarkOf(v), has
	if !at.IsZero() {
		p.written.at = at
	}
}
