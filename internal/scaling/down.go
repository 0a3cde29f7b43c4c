package scaling

import "math"

// idleWindow is for how long a slot must have been idle to be let go, in seconds: 0.7 times what
// starting it anew would take (with a tick). A pod kept idle for longer costs more than the one
// start it may save; let go much earlier, it is often ordered again at once.
func (s *State) idleWindow() float64 { return max(10, 0.7*s.boot()) }

// down lets replicas go that were idle over the whole window, and the last ones of a pool that was
// empty for the idle time; never below floor but for the latter.
func (s *State) down(p *Policy, in *Sample, v *view, d *Decision, floor int32) {
	idle := 0.
	if v.queued == 0 && v.starting == 0 && (p.ScaleDown == ScaleDownGraceful || v.dark == 0 || v.running < 0.5) {
		idle = v.free + v.broken
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
	// A backlog that can't be begun now may be at any time, unless a probe has said otherwise: one
	// replica waits for it.
	if s.Quiet >= 0 && v.now-s.Quiet >= s.emptyTime(p) && v.doubtful == 0 {
		n, why = 0, ReasonEmpty
	}
	if n >= in.Replicas {
		if d.Held == HoldPartial && in.Replicas > p.MinReplicas {
			d.Reason = ReasonPartialSample
		}
		return
	}
	if why == ReasonEmpty && max(n, p.MinReplicas) < in.Replicas {
		s.Emptied = v.now
	}
	if d.Held != "" {
		if max(n, p.MinReplicas) < in.Replicas {
			d.Reason = Reason(d.Held)
		}
		return
	}
	d.Wanted, d.Reason = n, why
}

// steady says in words why a pool that stays as it is does not get smaller.
func (s *State) steady(p *Policy, v *view) string {
	switch {
	case s.Active < v.now && s.Replicas > p.MinReplicas:
		return notIdleLongMessage
	case v.dark > 0 && p.ScaleDown != ScaleDownGraceful && s.Replicas > p.MinReplicas:
		return noTelemetryMessage
	}
	return steadyMessage
}

// noteActivity notes when the pool last had something to do; what isn't known counts as work.
func (s *State) noteActivity(v *view, d *Decision) {
	if v.restarted || d.Held == HoldPartial {
		s.IdleSlots.restart(v.now)
	}
	if v.restarted || d.Held == HoldPartial || v.queued > 0 || v.running >= 0.5 || v.finished {
		s.Active, s.Quiet = v.now, -1
	} else if s.Quiet < 0 {
		s.Quiet = v.now
	}
}

// spare is how many slots were more than the load all through the window. A slot need not have been
// idle for long to be spare: where jobs are short beside the target wait and hardly any queue has
// built up, the queue may take up what varies. Jobs that last longer than a quarter of the target
// wait, and queues that fill more than a fifth of it, leave no slot to spare.
func (s *State) spare(p *Policy, v *view, window float64) (slots float64, known bool) {
	target := p.TargetWait.Seconds()
	if target > 0 && !s.Scarce && v.starting == 0 && v.dark == 0 && v.jobTime <= target/4 &&
		v.backlog <= target/5*v.slots {
		slots = v.slots + v.broken - v.load
	}
	s.SpareSlots.Since = s.IdleSlots.Since
	s.SpareSlots.push(v.now, slots, window)
	return s.SpareSlots.least(v.now, window)
}

// emptyTime is for how long a pool must have been empty before its last replicas go, in seconds.
// Without telemetry short jobs pass unseen between two polls: where a job came soon after the last
// replica had gone, the time is doubled.
func (s *State) emptyTime(p *Policy) float64 {
	return max(p.Idle.Seconds(), s.idleWindow()) * clamp(s.Patience, 1, maxPatience)
}

const maxPatience = 16

// woke learns from a job that came to an empty pool whether its last replicas had gone too early.
func (s *State) woke(p *Policy, in *Sample, v *view) {
	if in.Replicas > p.MinReplicas || s.Emptied < 0 {
		return
	}
	switch away, wait := v.now-s.Emptied, s.emptyTime(p); {
	case s.Telemetry:
		s.Patience = 1
	case away < 4*wait:
		s.Patience = min(max(1, s.Patience)*2, maxPatience)
	case away > 16*wait:
		s.Patience = max(1, s.Patience/2)
	}
	s.Emptied = -1
}

// drainMargin is the part of the time to drain, in seconds, that is not left to jobs: the runtime
// gives back what still runs a little before the kubelet ends it.
const drainMargin = 10

// drains tells whether a pod with more slots than one may be told to stop while it works: it
// drains, where its jobs end within the time for it.
func (s *State) drains(p *Policy) bool {
	if p.Concurrency < 2 {
		return false
	}
	return p.Drain.Seconds() >= s.longestJob()+drainMargin
}

// longestJob is the longest mean time of jobs, in seconds, that was lately seen or is assumed.
func (s *State) longestJob() float64 {
	longest := 0.
	for i := range s.Functions {
		longest = max(longest, s.Functions[i].Longest, s.Functions[i].Mean)
	}
	return longest
}
