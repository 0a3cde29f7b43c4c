package scaling

import "math"

// idleWindow is how long a slot must have been idle before it is removed, in seconds: 0.7 times
// what starting it again would take (with a tick). A pod kept idle for longer costs more than the
// one start it may save; one removed much earlier is often ordered again at once.
func (s *State) idleWindow() float64 { return max(10, 0.7*s.boot()) }

// scaleDown removes replicas that were idle over the whole window, and the last ones of a pool that
// was empty for the idle time. Only the latter may go below floor.
func (s *State) scaleDown(p *Policy, in *Sample, v *view, d *Decision, floor int32) {
	idle := 0.
	switch free := v.free + v.broken; {
	case v.queued > 0 || v.starting > 0:
	case p.ScaleDown == ScaleDownGraceful || v.unreported == 0 || v.running < 0.5:
		idle = free
	default:
		d.IdleUnknown = free >= v.slotsPerPod && in.Replicas > max(floor, p.MinReplicas, 1) && d.Held == ""
	}
	window := s.idleWindow()
	s.IdleSlots.push(v.now, idle, window)
	least, full := s.IdleSlots.least(v.now, window)
	d.Terms.Idle = least
	if !full {
		least = 0
	}
	spare, _ := s.spare(p, v, window)
	if full {
		least = max(least, spare)
	}
	n := max(in.Replicas-count(math.Floor(least/v.slotsPerPod)), floor, 1)
	why := ReasonIdle
	// A backlog that can't start now may become runnable at any time, unless a probe has found
	// otherwise: one replica is kept for it.
	if s.QuietSince >= 0 && v.now-s.QuietSince >= s.emptyTime(p) && v.unconfirmed == 0 {
		n, why = 0, ReasonEmpty
	}
	if n >= in.Replicas {
		if d.Held == HoldPartial && in.Replicas > p.MinReplicas {
			d.Reason = ReasonPartialSample
		}
		return
	}
	if why == ReasonEmpty && max(n, p.MinReplicas) < in.Replicas {
		s.EmptiedAt = v.now
	}
	if d.Held != "" {
		if max(n, p.MinReplicas) < in.Replicas {
			d.Reason = Reason(d.Held)
		}
		return
	}
	d.Wanted, d.Reason = n, why
}

// steady is the message that says why an unchanged pool is not scaled down.
func (s *State) steady(p *Policy, v *view) string {
	switch {
	case s.LastActive < v.now && s.Replicas > p.MinReplicas:
		return notIdleLongMessage
	case v.unreported > 0 && p.ScaleDown != ScaleDownGraceful && s.Replicas > p.MinReplicas:
		return noTelemetryMessage
	}
	return steadyMessage
}

// calmIdleUnknown keeps IdleUnknown of the decisions until it has differed for a while: without
// telemetry the free slots come and go with each job. It ends at once if no replica may be removed
// anyway, or if it is known which pods are idle.
func (s *State) calmIdleUnknown(p *Policy, in *Sample, v *view, d *Decision) {
	if in.Replicas <= max(p.MinReplicas, 1) || v.unreported == 0 || p.ScaleDown == ScaleDownGraceful {
		s.IdleUnknown = false
	}
	switch {
	case d.IdleUnknown == s.IdleUnknown:
		s.IdleUnknownSince = v.now
	case v.now-s.IdleUnknownSince >= blockedRemovals.Seconds():
		s.IdleUnknown, s.IdleUnknownSince = d.IdleUnknown, v.now
	}
	d.IdleUnknown = s.IdleUnknown
}

// recordActivity records when the pool last had jobs; a gap in the samples counts as activity.
func (s *State) recordActivity(v *view, d *Decision) {
	if v.restarted || d.Held == HoldPartial {
		s.IdleSlots.restart(v.now)
	}
	if v.restarted || d.Held == HoldPartial || v.queued > 0 || v.running >= 0.5 || v.finished {
		s.LastActive, s.QuietSince = v.now, -1
	} else if s.QuietSince < 0 {
		s.QuietSince = v.now
	}
}

// spare is how many slots exceeded the load all through the window. A slot need not have been idle
// for long to be spare: if jobs are short compared with the target wait and the queue is short, the
// queue can absorb the variation. Jobs longer than a quarter of the target wait, and queues that
// fill more than a fifth of it, leave no spare slot.
func (s *State) spare(p *Policy, v *view, window float64) (slots float64, known bool) {
	target := p.TargetWait.Seconds()
	if target > 0 && !s.Scarce && v.starting == 0 && v.unreported == 0 && v.jobTime <= target/4 &&
		v.backlog <= target/5*v.slots {
		slots = v.slots + v.broken - v.load
	}
	s.SpareSlots.Since = s.IdleSlots.Since
	s.SpareSlots.push(v.now, slots, window)
	return s.SpareSlots.least(v.now, window)
}

// emptyTime is how long a pool must have been empty before its last replicas are removed, in
// seconds. Without telemetry, short jobs pass unseen between two polls: if a job arrived soon after
// the last replica was removed, the time is doubled.
func (s *State) emptyTime(p *Policy) float64 {
	return max(p.Idle.Seconds(), s.idleWindow()) * clamp(s.IdleFactor, 1, maxIdleFactor)
}

const maxIdleFactor = 16

// learnIdleFactor checks, when a job arrives at an empty pool, whether its last replicas were
// removed too early.
func (s *State) learnIdleFactor(p *Policy, in *Sample, v *view) {
	if in.Replicas > p.MinReplicas || s.EmptiedAt < 0 {
		return
	}
	switch away, wait := v.now-s.EmptiedAt, s.emptyTime(p); {
	case s.Telemetry:
		s.IdleFactor = 1
	case away < 4*wait:
		s.IdleFactor = min(max(1, s.IdleFactor)*2, maxIdleFactor)
	case away > 16*wait:
		s.IdleFactor = max(1, s.IdleFactor/2)
	}
	s.EmptiedAt = -1
}

// drainMargin is the part of the drain time, in seconds, that jobs may not use: the runtime
// requeues the jobs that still run shortly before the kubelet kills it.
const drainMargin = 10

// drains reports whether a pod with several slots may be stopped while it runs jobs: it drains if
// its jobs end within the drain time.
func (s *State) drains(p *Policy) bool {
	if p.Concurrency < 2 {
		return false
	}
	return p.Drain.Seconds() >= s.longestJob()+drainMargin
}

// longestJob is the longest mean job time, in seconds, that was recently measured or is assumed.
func (s *State) longestJob() float64 {
	longest := 0.
	for i := range s.Functions {
		longest = max(longest, s.Functions[i].Longest, s.Functions[i].Mean)
	}
	return longest
}
