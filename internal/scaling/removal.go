package scaling

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/boolean"
)

// Kubernetes removes the pods of a ReplicaSet in this order: those without a node; Pending before
// Unknown before Running; those that aren't ready; those with the lower deletion cost; then by
// rules that cannot be influenced. So each pod that is to be removed gets a deletion cost of its
// own, older marks lower ones, and replicas are lowered only by a leading run of that order in
// which every pod may be removed. Equal costs are a tie: a group of them counts whole or not at
// all. docs/adr/0015-removal.md says why.

// WorkloadKind is how the pods of a workload are removed.
type WorkloadKind uint8

const (
	KindOwned             WorkloadKind = iota // the pool's own Deployment, whose pods may be marked
	KindTargetDeployment                      // another owner's Deployment: its pods are not touched
	KindTargetStatefulSet                     // a StatefulSet: the highest ordinal is removed first
)

const (
	// removalSettle is how long the ReplicaSet controller may take to see what our own cache shows.
	removalSettle   = 3 * time.Second
	removalTimeout  = time.Minute      // after which pods that should terminate but don't no longer count as going
	telemetryPolls  = 3                // polls after which telemetry is too old to show that a pod is idle
	blockedRemovals = 30 * time.Second // after which a removal without progress is reported as blocked
)

// RemovalInput is the input of the removal rule.
type RemovalInput struct {
	Now  time.Time
	Poll time.Duration
	Kind WorkloadKind
	// Replicas is the present spec.replicas, Want the law's number. Ceiling is what the user's
	// bounds (or Manual, or a static fallback) allow: pods beyond it are removed even if they run
	// jobs, and finish those while they drain.
	Replicas, Want, Ceiling int32
	// Complete: every job server answered, and nothing holds the pool (a restart, a rollout).
	Complete bool
	// Answer is the oldest of the newest answers of all job servers.
	Answer time.Time
	// Running is how many jobs run, Unexplained how many of them no pod's telemetry explains.
	Running, Unexplained int64
	// Graceful: every pod is trusted to finish its jobs. Drains: so are pods with several slots,
	// since their jobs end well within the time to drain.
	Graceful, Drains bool
	Pods             []Pod
}

// RemovalState is the state of the rule. A new leader can start with an empty one: what the cache
// shows counts as seen just now.
type RemovalState struct {
	Started time.Time
	Costs   map[string]PodCost // by UID, of the pods that have or had a mark
	Next    int32              // the next mark's number
	// ForcedSince is the start of a forced removal, ExtraSince since when there have been more pods
	// than replicas.
	ForcedSince, ExtraSince time.Time
	// Lowered is when replicas were last lowered, Stuck since when fewer are wanted and none can be
	// removed.
	Lowered, Stuck time.Time
}

// RemovalReason is why replicas were not lowered further.
type RemovalReason string

const (
	RemovalNone     RemovalReason = ""         // nothing is to be removed, or all of it can be
	RemovalHeld     RemovalReason = "Held"     // not every job server answered, or the pool is held
	RemovalUnderWay RemovalReason = "UnderWay" // pods of an earlier round still have to terminate
	// marks or removals are newer than the job servers' answers, or not seen by all components yet
	RemovalSettling RemovalReason = "Settling"
	RemovalBusy     RemovalReason = "Busy"       // the pod that Kubernetes would remove next is busy
	RemovalUnknown  RemovalReason = "Unknown"    // whether the pod that Kubernetes would remove next is busy is unknown
	RemovalUnready  RemovalReason = "UnreadyPod" // a pod that isn't ready would be removed first, and may be busy
)

// Removal is the rule's decision.
type Removal struct {
	// Replicas is the number to write.
	Replicas int32
	// Patches are written before Replicas, but never delay it: a failed patch is skipped.
	Patches []Patch
	Reason  RemovalReason
	// Blocked: fewer replicas are wanted, but none could be removed for a while for Reason.
	Blocked bool
}

// Remove decides which pods are marked and by how many replicas may be lowered now. If more
// replicas are wanted than at present, it only removes marks. It takes over the given state.
func Remove(in *RemovalInput, s RemovalState) (Removal, RemovalState) {
	r := remover{in: in, s: &s, out: Removal{Replicas: in.Replicas}}
	s.observe(in)
	if in.Want >= in.Replicas {
		s.ForcedSince, s.Stuck = time.Time{}, time.Time{}
		r.clear(0)
		return r.out, s
	}
	r.sort()
	n, extra := r.leading()
	r.mark(int(extra) + int(max(n, 0)))
	n = r.force(n)
	if n > 0 {
		r.out.Replicas -= n
		s.Lowered, s.Stuck = in.Now, time.Time{}
		return r.out, s
	}
	if s.Stuck.IsZero() {
		s.Stuck = in.Now
	}
	r.out.Blocked = in.Now.Sub(s.Stuck) >= blockedRemovals && r.out.Reason != RemovalNone
	return r.out, s
}

type remover struct {
	in    *RemovalInput
	s     *RemovalState
	out   Removal
	order []position // of the existing, not terminating pods, as Kubernetes removes them

	unreported int64 // jobs that may run in pods whose telemetry is too old to tell
}

// position is a pod's position in the order of deletion.
type position struct {
	pod       *Pod
	class     int
	cost      int32
	settled   bool // the ReplicaSet controller certainly sees it at this position
	removable bool
}

// sort puts the pods in the order in which Kubernetes removes them.
func (r *remover) sort() {
	in := r.in
	r.unreported = r.runningUnreported()
	r.order = make([]position, 0, len(in.Pods))
	for i := range in.Pods {
		p := &in.Pods[i]
		if !p.Owned || p.Terminating {
			continue
		}
		at := position{pod: p, class: class(p), cost: p.Cost, settled: in.Now.Sub(r.s.Started) >= removalSettle}
		if c, ok := r.s.Costs[p.UID]; ok {
			if in.Now.Sub(c.Seen) < removalSettle {
				at.cost, at.settled = min(at.cost, c.Before), false
			}
			if c.Pending {
				at.cost, at.settled = min(at.cost, c.Ordered), false
			}
		}
		if p.Ready && in.Now.Sub(p.ReadySince) < removalSettle {
			at.class, at.cost, at.settled = 0, math.MinInt32, false
		}
		if in.Kind == KindTargetStatefulSet {
			// Only the ordinal counts for a StatefulSet.
			at.class, at.cost, at.settled = 0, -p.Ordinal, true
		}
		at.removable = r.isRemovable(&at)
		r.order = append(r.order, at)
	}
	slices.SortStableFunc(r.order, func(a, b position) int {
		return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(a.cost, b.cost))
	})
}

// class is the order that Kubernetes applies before the deletion cost.
func class(p *Pod) int {
	return 1 + 6*boolean.Int(p.Assigned) + 2*int(p.Phase) + boolean.Int(p.Ready)
}

// isRemovable reports whether the pod at this position can be removed without harm.
func (r *remover) isRemovable(at *position) bool {
	p, in := at.pod, r.in
	hasTelemetry := r.hasTelemetry(p)
	switch {
	case !at.settled:
		return false
	case p.Stopped || in.Graceful && !p.Ready:
		return true
	case !p.Ready && !p.WasReady:
		return !hasTelemetry || p.Busy == 0
	case !p.Ready:
		return hasTelemetry && p.Busy == 0 || r.unreported == 0 && (!hasTelemetry || p.Busy == 0)
	case !r.answered(p):
		return false
	case !hasTelemetry:
		return in.Graceful || r.unreported == 0
	}
	return p.Busy == 0 || r.isMarked(p) && (in.Graceful || in.Drains) || in.Graceful && in.Kind != KindOwned
}

// hasTelemetry reports whether a pod's telemetry is new enough to show that it is idle.
func (r *remover) hasTelemetry(p *Pod) bool {
	return !p.Heard.IsZero() && r.in.Now.Sub(p.Heard) <= telemetryPolls*r.in.Poll
}

// runningUnreported is how many jobs may run in pods whose telemetry is too old: it explains none.
func (r *remover) runningUnreported() int64 {
	left := r.in.Running
	for i := range r.in.Pods {
		if p := &r.in.Pods[i]; r.hasTelemetry(p) {
			left -= int64(p.Busy)
		}
	}
	return max(left, r.in.Unexplained)
}

// answered reports whether every job server has answered since the pod got its position, and since
// replicas were last lowered.
func (r *remover) answered(p *Pod) bool {
	answer, seen := r.in.Answer, r.s.Costs[p.UID].Seen
	if !p.Heard.IsZero() && !p.Heard.After(seen) {
		return false
	}
	return answer.After(seen) && answer.After(r.s.Lowered) && !answer.Before(p.ReadySince)
}

// leading returns by how many replicas may be lowered, as far as a leading run of the order is
// removable, and how many pods of it are being removed already.
func (r *remover) leading() (n, extra int32) {
	in := r.in
	extra = int32(len(r.order)) - in.Replicas
	if extra > 0 && in.Now.Sub(r.s.ExtraSince) >= removalTimeout {
		extra = 0
	}
	if !in.Complete {
		r.out.Reason = RemovalHeld
		return 0, max(0, extra)
	}
	run := 0
	for run < len(r.order) {
		end := run
		for whole := true; end < len(r.order) && r.order[end].class == r.order[run].class &&
			r.order[end].cost == r.order[run].cost; end++ {
			if whole = whole && r.order[end].removable; !whole {
				r.out.Reason = r.blockedBy(&r.order[end], extra)
				end = -1
				break
			}
		}
		if end < 0 {
			break
		}
		run = end
	}
	// Pods that don't exist yet are removed first, and pods of an earlier round are at the front.
	n = min(int32(run)-extra, in.Replicas-in.Want)
	if n == in.Replicas-in.Want {
		r.out.Reason = RemovalNone
	}
	return max(0, n), max(0, extra)
}

// blockedBy returns why a pod can't be removed.
func (r *remover) blockedBy(at *position, extra int32) RemovalReason {
	switch p := at.pod; {
	case extra > 0:
		return RemovalUnderWay
	case !at.settled:
		return RemovalSettling
	case !p.Ready:
		return RemovalUnready
	case !r.answered(p):
		return RemovalSettling
	case p.Busy > 0:
		return RemovalBusy
	}
	return RemovalUnknown
}

// force lowers replicas to the ceiling once the marks have been seen, or should have been: nothing
// delays it for longer.
func (r *remover) force(n int32) int32 {
	in, s := r.in, r.s
	if in.Replicas <= in.Ceiling {
		s.ForcedSince = time.Time{}
		return n
	}
	if s.ForcedSince.IsZero() {
		s.ForcedSince = in.Now
	}
	seen := len(r.out.Patches) == 0
	for _, at := range r.order {
		seen = seen && (at.settled || !r.isMarked(at.pod))
	}
	if in.Kind == KindOwned && !seen && in.Now.Sub(s.ForcedSince) < removalSettle+in.Poll {
		return n
	}
	return max(n, in.Replicas-in.Ceiling)
}
