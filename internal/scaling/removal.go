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
// rules that nobody can choose. So each pod that is to go gets a deletion cost of its own, older
// marks lower ones, and replicas are lowered only by a leading run of that order in which every pod
// may go. Equal costs are a tie: a group of them counts whole or not at all.
// docs/adr/0015-removal.md says why.

// WorkloadKind is how the pods of a workload are removed.
type WorkloadKind uint8

const (
	KindOwned             WorkloadKind = iota // the pool's own Deployment, whose pods may be marked
	KindTargetDeployment                      // a Deployment of somebody else's: its pods are not touched
	KindTargetStatefulSet                     // a StatefulSet: the highest ordinal goes first
)

const (
	// removalSettle is how long the ReplicaSet controller is given to see what our own cache shows.
	removalSettle   = 3 * time.Second
	removalTimeout  = time.Minute      // after which pods that are to go but don't no longer count as going
	heardPolls      = 3                // polls after which telemetry is too old to tell that a pod is idle
	blockedRemovals = 30 * time.Second // after which a removal that does not get on is reported as blocked
)

// RemovalInput is what the removal rule goes by.
type RemovalInput struct {
	Now  time.Time
	Poll time.Duration
	Kind WorkloadKind
	// Replicas is the present spec.replicas, Want what the law asks for. Ceiling is what the user's
	// bounds (or Manual, or a static fallback) allow: pods beyond it go whatever they do, and
	// finish their jobs while they drain.
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

// RemovalState is what the rule remembers. A new one is good for a new leader: what the cache shows
// counts as seen just now.
type RemovalState struct {
	Started time.Time
	Costs   map[string]PodCost // by UID, of the pods that have or had a mark
	Next    int32              // the next mark's number
	// ForcedSince and ExtraSince are the start of a forced removal, and of pods being more than the
	// replicas.
	ForcedSince, ExtraSince time.Time
	// Lowered is when replicas were last lowered, Stuck since when fewer were wanted and none could
	// go.
	Lowered, Stuck time.Time
}

// RemovalReason is why replicas were lowered by no more than they were.
type RemovalReason string

const (
	RemovalNone     RemovalReason = ""         // nothing is to go, or all that is to go may
	RemovalHeld     RemovalReason = "Held"     // not every job server answered, or the pool is held
	RemovalUnderWay RemovalReason = "UnderWay" // pods of an earlier round are still to go
	// marks or removals are newer than the job servers' answers, or not seen by everybody
	RemovalSettling RemovalReason = "Settling"
	RemovalBusy     RemovalReason = "Busy"       // the pod that Kubernetes would remove next works
	RemovalUnknown  RemovalReason = "Unknown"    // nobody knows whether the pod that Kubernetes would remove next works
	RemovalUnready  RemovalReason = "UnreadyPod" // a pod that isn't ready goes first, and may still work
)

// Removal is what the rule decides.
type Removal struct {
	// Replicas is the number to write.
	Replicas int32
	// Patches are to be written before Replicas, but never delay it: whoever can't write one goes
	// on.
	Patches []Patch
	Reason  RemovalReason
	// Blocked: fewer replicas are wanted, but none could go for a while for Reason.
	Blocked bool
}

// Remove decides which pods are marked and by how many replicas may be lowered now. Where more
// replicas are wanted than there are, it only takes off marks. The state given is used up.
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
	order []place // of the pods that are there and not about to end, as Kubernetes removes them

	unheard int64 // jobs that may run in pods whose telemetry is too old to tell
}

// place is a pod's place in the order of deletion.
type place struct {
	pod     *Pod
	class   int
	cost    int32
	settled bool // the ReplicaSet controller surely sees it at this place
	mayGo   bool
}

// sort puts the pods in the order in which Kubernetes removes them.
func (r *remover) sort() {
	in := r.in
	r.unheard = r.runningUnheard()
	r.order = make([]place, 0, len(in.Pods))
	for i := range in.Pods {
		p := &in.Pods[i]
		if !p.Owned || p.Terminating {
			continue
		}
		at := place{pod: p, class: class(p), cost: p.Cost, settled: in.Now.Sub(r.s.Started) >= removalSettle}
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
			// Nothing but the ordinal counts there.
			at.class, at.cost, at.settled = 0, -p.Ordinal, true
		}
		at.mayGo = r.mayGo(&at)
		r.order = append(r.order, at)
	}
	slices.SortStableFunc(r.order, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(a.cost, b.cost))
	})
}

// class is what Kubernetes looks at before the deletion cost.
func class(p *Pod) int {
	return 1 + 6*boolean.Int(p.Assigned) + 2*int(p.Phase) + boolean.Int(p.Ready)
}

// mayGo reports whether it does no harm if the pod at this place goes.
func (r *remover) mayGo(at *place) bool {
	p, in := at.pod, r.in
	heard := r.heard(p)
	switch {
	case !at.settled:
		return false
	case p.Stopped || in.Graceful && !p.Ready:
		return true
	case !p.Ready && !p.WasReady:
		return !heard || p.Busy == 0
	case !p.Ready:
		return heard && p.Busy == 0 || r.unheard == 0 && (!heard || p.Busy == 0)
	case !r.answered(p):
		return false
	case !heard:
		return in.Graceful || r.unheard == 0
	}
	return p.Busy == 0 || r.marked(p) && (in.Graceful || in.Drains) || in.Graceful && in.Kind != KindOwned
}

// heard reports whether a pod's telemetry is young enough to tell that it is idle.
func (r *remover) heard(p *Pod) bool {
	return !p.Heard.IsZero() && r.in.Now.Sub(p.Heard) <= heardPolls*r.in.Poll
}

// runningUnheard is how many jobs may run in pods whose telemetry is too old to tell: it explains
// none.
func (r *remover) runningUnheard() int64 {
	left := r.in.Running
	for i := range r.in.Pods {
		if p := &r.in.Pods[i]; r.heard(p) {
			left -= int64(p.Busy)
		}
	}
	return max(left, r.in.Unexplained)
}

// answered reports whether every job server has answered since the pod got its place, and since
// replicas were last lowered.
func (r *remover) answered(p *Pod) bool {
	answer, seen := r.in.Answer, r.s.Costs[p.UID].Seen
	if !p.Heard.IsZero() && !p.Heard.After(seen) {
		return false
	}
	return answer.After(seen) && answer.After(r.s.Lowered) && !answer.Before(p.ReadySince)
}

// leading is by how many replicas may be lowered as far as a leading run of the order goes, and how
// many pods of it are going already.
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
			if whole = whole && r.order[end].mayGo; !whole {
				r.out.Reason = r.why(&r.order[end], extra)
				end = -1
				break
			}
		}
		if end < 0 {
			break
		}
		run = end
	}
	// Pods that don't exist yet are the first to go, pods of an earlier round take the front.
	n = min(int32(run)-extra, in.Replicas-in.Want)
	if n == in.Replicas-in.Want {
		r.out.Reason = RemovalNone
	}
	return max(0, n), max(0, extra)
}

// why says what keeps a pod from going.
func (r *remover) why(at *place, extra int32) RemovalReason {
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
// stops it for longer.
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
		seen = seen && (at.settled || !r.marked(at.pod))
	}
	if in.Kind == KindOwned && !seen && in.Now.Sub(s.ForcedSince) < removalSettle+in.Poll {
		return n
	}
	return max(n, in.Replicas-in.Ceiling)
}
