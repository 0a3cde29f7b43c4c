package scaling

import (
	"math"
	"time"
)

// maxChanges bounds the replica changes kept for behavior's policies.
const maxChanges = 32

// Change is how many replicas were added (or removed: negative) at a time.
type Change struct {
	At float64
	By int32
}

// changed records that replicas were added or removed. If there are too many records, the two
// oldest are merged at the later time, which counts longer.
func (s *State) changed(now float64, by int32, longest float64) {
	c := s.Changes
	drop := 0
	for drop < len(c) && c[drop].At < now-longest {
		drop++
	}
	c = c[:copy(c, c[drop:])]
	if len(c) >= maxChanges {
		c[1].By += c[0].By
		c = c[:copy(c, c[1:])]
	}
	s.Changes = append(c, Change{now, by})
}

// longest is the longest period of any policy, in seconds.
func (b *Behavior) longest() float64 {
	var d time.Duration
	for _, r := range [2]*ScalingRules{b.ScaleUp, b.ScaleDown} {
		if r != nil {
			for i := range r.Policies {
				d = max(d, r.Policies[i].Period)
			}
		}
	}
	return d.Seconds()
}

// applyBehavior limits the wanted number as autoscaling/v2 does: stabilization, tolerance, then the
// policies. A pool's first and last replica are never too small a change.
func (s *State) applyBehavior(b *Behavior, wanted, present int32, now float64) (int32, Limit) {
	n, limit := wanted, Limit("")
	if up := b.ScaleUp; up != nil {
		if w := up.Stabilization.Seconds(); w > 0 {
			s.Lowest.push(now, float64(wanted), w)
			if low, _ := s.Lowest.least(now, w); n > present && float64(n) > low {
				n, limit = max(present, int32(low)), LimitScaleUp
			}
		}
	}
	if down := b.ScaleDown; down != nil {
		if w := down.Stabilization.Seconds(); w > 0 {
			s.Highest.push(now, -float64(wanted), w)
			if high, _ := s.Highest.least(now, w); n < present && float64(n) < -high {
				n, limit = min(present, int32(-high)), LimitScaleDown
			}
		}
	}
	switch {
	case n > present && b.ScaleUp != nil:
		if present > 0 && float64(n-present) <= b.ScaleUp.Tolerance*float64(present) {
			return present, LimitScaleUp
		}
		if mostAllowed := s.mostAllowed(b.ScaleUp, present, now); float64(n) > mostAllowed {
			n, limit = max(present, int32(mostAllowed)), LimitScaleUp
		}
	case n < present && b.ScaleDown != nil:
		if n > 0 && float64(present-n) <= b.ScaleDown.Tolerance*float64(present) {
			return present, LimitScaleDown
		}
		if least := s.leastAllowed(b.ScaleDown, present, now); float64(n) < least {
			n, limit = min(present, int32(least)), LimitScaleDown
		}
	}
	return n, limit
}

// mostAllowed is the largest number that the policies for scaling up allow now.
func (s *State) mostAllowed(r *ScalingRules, present int32, now float64) float64 {
	if r.Select == SelectDisabled {
		return float64(present)
	}
	if len(r.Policies) == 0 {
		return math.MaxInt32
	}
	best := math.Inf(1)
	if r.Select != SelectMin {
		best = 0
	}
	for _, p := range r.Policies {
		start := float64(present) - s.changes(p.Period, now)
		allowed := start + float64(p.Value)
		if p.Type == PolicyPercent {
			allowed = math.Ceil(start * (1 + float64(p.Value)/100))
		}
		// A percentage of 0 would never allow the first replica.
		if allowed = clamp(allowed, 1, math.MaxInt32); r.Select == SelectMin {
			best = min(best, allowed)
		} else {
			best = max(best, allowed)
		}
	}
	return best
}

// leastAllowed is the smallest number that the policies for scaling down allow now.
func (s *State) leastAllowed(r *ScalingRules, present int32, now float64) float64 {
	if r.Select == SelectDisabled {
		return float64(present)
	}
	if len(r.Policies) == 0 {
		return 0
	}
	best := 0.
	if r.Select != SelectMin {
		best = math.Inf(1)
	}
	for _, p := range r.Policies {
		start := float64(present) - s.changes(p.Period, now)
		allowed := start - float64(p.Value)
		if p.Type == PolicyPercent {
			allowed = math.Floor(start * (1 - float64(p.Value)/100))
		}
		if allowed = clamp(allowed, 0, math.MaxInt32); r.Select == SelectMin {
			best = max(best, allowed)
		} else {
			best = min(best, allowed)
		}
	}
	return best
}

// changes is by how much the replicas changed within the last period.
func (s *State) changes(period time.Duration, now float64) float64 {
	n, from := 0., now-period.Seconds()
	for i := range s.Changes {
		if s.Changes[i].At > from {
			n += float64(s.Changes[i].By)
		}
	}
	return n
}
