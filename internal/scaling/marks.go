package scaling

import (
	"cmp"
	"slices"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/boolean"
)

// A mark is the deletion cost that the operator gives a pod that it wants removed. removal.go
// decides how many pods are removed; this file decides which ones are marked, and records what was
// written and what the cache shows of it.

const (
	// markBase is the deletion cost of the first mark; each later one is higher by one. Costs of 0
	// and more are not the operator's.
	markBase int32 = -1_000_000
	maxMarks int32 = 999_999
	// markAge is how long an unneeded mark stays: it is often needed again, which saves a patch.
	markAge       = time.Minute
	marksARound   = 50
	unmarksARound = 10
	patchAgain    = 10 * time.Second // after which a patch that the cache doesn't show is repeated
)

// PodCost is the state of one pod's deletion cost.
type PodCost struct {
	Cost, Before int32     // what the cache shows, and what it showed before
	Seen         time.Time // when it first showed Cost
	Ordered      int32     // what was written last, while Pending: the cache doesn't show it yet
	Pending      bool
	OrderedAt    time.Time
}

// Patch sets a pod's deletion cost; a Cost of 0 removes it.
type Patch struct {
	UID  string
	Cost int32
}

// observe updates the costs.
func (s *RemovalState) observe(in *RemovalInput) {
	if s.Started.IsZero() {
		s.Started = in.Now
	}
	if s.Costs == nil {
		s.Costs = map[string]PodCost{}
	}
	live, found := int32(0), 0
	for i := range in.Pods {
		p := &in.Pods[i]
		if p.Terminating {
			continue
		}
		if p.Owned {
			live++
		}
		c, known := s.Costs[p.UID]
		switch {
		case !known && !isMark(p.Cost):
			continue
		case !known:
			c = PodCost{Cost: p.Cost, Before: p.Cost, Seen: in.Now}
			s.Next = max(s.Next, p.Cost-markBase+1)
		case c.Cost != p.Cost:
			if in.Now.Sub(c.Seen) >= removalSettle {
				c.Before = c.Cost
			}
			c.Before, c.Cost, c.Seen = min(c.Before, c.Cost), p.Cost, in.Now
		}
		if c.Pending && c.Ordered == c.Cost {
			c.Pending = false
		}
		s.Costs[p.UID] = c
		found++
	}
	if len(s.Costs) > found {
		s.drop(in.Pods)
	}
	for uid, c := range s.Costs {
		if !c.Pending && !isMark(c.Cost) && in.Now.Sub(c.Seen) >= removalSettle {
			delete(s.Costs, uid)
		}
	}
	if len(s.Costs) == 0 {
		s.Next = 0
	}
	if live <= in.Replicas {
		s.ExtraSince = time.Time{}
	} else if s.ExtraSince.IsZero() {
		s.ExtraSince = in.Now
	}
}

// drop removes the records of pods that are gone or terminating.
func (s *RemovalState) drop(pods []Pod) {
	present := make(map[string]bool, len(pods))
	for i := range pods {
		if !pods[i].Terminating {
			present[pods[i].UID] = true
		}
	}
	for uid := range s.Costs {
		if !present[uid] {
			delete(s.Costs, uid)
		}
	}
}

// mark marks as many of the pods that stay for now as are still to be removed, and removes the
// first one's mark if that pod is busy. going is how many of the order are being removed already.
func (r *remover) mark(going int) {
	in := r.in
	forced := in.Replicas > in.Ceiling
	if in.Kind != KindOwned || !in.Complete && !forced || going >= len(r.order) {
		return
	}
	rest := r.order[going:]
	if at := &rest[0]; !at.removable && at.settled && r.answered(at.pod) && r.isMarked(at.pod) && !forced &&
		r.busyForLong(at.pod) {
		r.patch(at.pod, 0)
	}
	need := len(rest) - int(in.Want)
	candidates := make([]*Pod, 0, len(rest))
	for i := range rest {
		switch p := rest[i].pod; {
		case !p.Ready || r.isMarked(p):
			need-- // it is removed before the others
			r.retry(p)
		case r.isUnmarking(p):
		case r.mayMark(p, forced):
			candidates = append(candidates, p)
		}
	}
	if need <= 0 {
		r.clear(need)
		return
	}
	slices.SortFunc(candidates, r.compareMarks)
	for _, p := range candidates[:min(len(candidates), need, marksARound)] {
		if r.s.Next >= maxMarks {
			return // the numbers restart once no pod has a mark
		}
		r.patch(p, markBase+r.s.Next)
		r.s.Next++
	}
}

// busyForLong reports whether a pod was busy at two consecutive polls. A pod with short jobs is
// often idle at the next poll, and waiting for that takes no longer than removing its mark.
func (r *remover) busyForLong(p *Pod) bool {
	return p.Busy == 0 || p.BusySince.IsZero() || r.in.Answer.Sub(p.BusySince) >= r.in.Poll/2
}

// mayMark reports whether a ready pod may be chosen for removal.
func (r *remover) mayMark(p *Pod, forced bool) bool {
	return forced || r.hasTelemetry(p) && (p.Busy == 0 || r.in.Graceful || r.in.Drains)
}

// compareMarks sorts by which pod is to be removed first: those known to be idle, longest first;
// then the least busy; then those without telemetry.
func (r *remover) compareMarks(a, b *Pod) int {
	return cmp.Or(
		cmp.Compare(boolean.Int(a.Heard.IsZero()), boolean.Int(b.Heard.IsZero())), cmp.Compare(a.Busy, b.Busy),
		cmp.Compare(
			boolean.Int(a.BusySince.IsZero()), boolean.Int(b.BusySince.IsZero()),
		), a.BusySince.Compare(b.BusySince), cmp.Compare(a.UID, b.UID))
}

// clear removes marks that have not been needed for a while, newest first.
func (r *remover) clear(need int) {
	var old []*Pod
	for i := range r.in.Pods {
		p := &r.in.Pods[i]
		c, ok := r.s.Costs[p.UID]
		since := c.Seen
		if c.Pending {
			since = c.OrderedAt
		}
		if ok && !p.Terminating && (c.Pending || isMark(c.Cost)) && r.in.Now.Sub(since) >= markAge {
			old = append(old, p)
		}
	}
	if need < 0 {
		old = old[:min(len(old), -need)]
	} else if r.in.Want < r.in.Replicas {
		return
	}
	slices.SortFunc(old, func(a, b *Pod) int { return cmp.Compare(b.Cost, a.Cost) })
	for _, p := range old[:min(len(old), unmarksARound)] {
		r.patch(p, 0)
	}
}

// isMarked reports whether a pod has a mark, or will have one once the cache shows it.
func (r *remover) isMarked(p *Pod) bool {
	if c, ok := r.s.Costs[p.UID]; ok && c.Pending {
		return isMark(c.Ordered)
	}
	return isMark(p.Cost)
}

// isUnmarking reports whether a pod's mark is being removed.
func (r *remover) isUnmarking(p *Pod) bool {
	c, ok := r.s.Costs[p.UID]
	if ok && c.Pending && !isMark(c.Ordered) {
		r.retry(p)
		return true
	}
	return false
}

// retry repeats a patch that the cache has not shown for a long time: its write may have failed.
func (r *remover) retry(p *Pod) {
	if c, ok := r.s.Costs[p.UID]; ok && c.Pending && r.in.Now.Sub(c.OrderedAt) >= patchAgain {
		r.patch(p, c.Ordered)
	}
}

func (r *remover) patch(p *Pod, cost int32) {
	c, ok := r.s.Costs[p.UID]
	if !ok {
		c = PodCost{Cost: p.Cost, Before: p.Cost}
	}
	c.Ordered, c.Pending, c.OrderedAt = cost, true, r.in.Now
	r.s.Costs[p.UID] = c
	r.out.Patches = append(r.out.Patches, Patch{p.UID, cost})
}

func isMark(cost int32) bool { return cost >= markBase && cost < markBase+maxMarks }
