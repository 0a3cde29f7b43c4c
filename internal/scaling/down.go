package scaling

import (
	"cmp"
	"math"
	"slices"
)

// idleWindow is for how long a slot must have been idle to be let go, in seconds: 0.7 times what starting it anew would take (with a tick). A pod kept idle for
// longer costs more than the one start it may save; let go much earlier, it is often ordered again at once.
func (s *State) idleWindow() float64 { return max(10, 0.7*s.boot()) }

// down lets replicas go that were idle over the whole window, and the last ones of a pool that was empty for the idle time; never below floor but for the latter.
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
	// A backlog that can't be begun now may be at any time, unless a probe has said otherwise: one replica waits for it.
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
		return waitsMessage
	case v.dark > 0 && p.ScaleDown != ScaleDownGraceful && s.Replicas > p.MinReplicas:
		return darkMessage
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

// spare is how many slots were more than the load all through the window. A slot need not have been idle for long to be spare: where jobs are short beside the
// target wait and hardly any queue has built up, the queue may take up what varies. Jobs that last longer than a quarter of the target wait, and queues that fill
// more than a fifth of it, leave no slot to spare.
func (s *State) spare(p *Policy, v *view, window float64) (slots float64, known bool) {
	target := p.TargetWait.Seconds()
	if target > 0 && !s.Scarce && v.starting == 0 && v.dark == 0 && v.jobTime <= target/4 && v.backlog <= target/5*v.slots {
		slots = v.slots + v.broken - v.load
	}
	s.SpareSlots.Since = s.IdleSlots.Since
	s.SpareSlots.push(v.now, slots, window)
	return s.SpareSlots.least(v.now, window)
}

// emptyTime is for how long a pool must have been empty before its last replicas go, in seconds. Without telemetry short jobs pass unseen between two polls:
// where a job came soon after the last replica had gone, the time is doubled.
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

// candidate is a pod that may go; the smaller its rank the earlier, then the fewer jobs it has, then the longer it is idle.
type candidate struct {
	pod  *PodSample
	rank int
}

const (
	rankBroken = iota // it does nothing, and a Deployment takes it first anyway
	rankIdle
	rankUnknown // nothing tells whether it works
	rankBusy
	rankNever
)

// victims names the pods that go first, and takes back as much of a decision to get smaller as no pod can be named for: all of it where it returns false.
func (d *Decision) victims(p *Policy, s *State, in *Sample) bool {
	if d.Replicas >= in.Replicas {
		return true
	}
	number := int32(0)
	candidates := make([]candidate, 0, len(in.Pods))
	for i := range in.Pods {
		pod := &in.Pods[i]
		if pod.Terminating {
			continue
		}
		number++
		if r := d.rank(pod, p, s); r < rankNever {
			candidates = append(candidates, candidate{pod, r})
		}
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.pod.Busy, b.pod.Busy), compareSince(a.pod, b.pod), cmp.Compare(a.pod.Name, b.pod.Name))
	})
	want := number - d.Replicas // pods that don't exist need no name
	if !d.Forced && want > int32(len(candidates)) {
		d.Replicas = min(in.Replicas, number-int32(len(candidates)))
		if d.Replicas > p.MaxReplicas {
			d.Replicas, d.Reason, d.Forced, d.Held = p.MaxReplicas, ReasonAboveMaximum, true, ""
		}
	}
	if d.Replicas >= in.Replicas {
		d.Reason = ReasonSteady
		return false
	}
	if n := min(number-d.Replicas, int32(len(candidates))); n > 0 {
		d.Victims = make([]string, n)
		for i := range d.Victims {
			d.Victims[i] = candidates[i].pod.Name
		}
	}
	return true
}

// rank says whether and when a pod may go.
func (d *Decision) rank(pod *PodSample, p *Policy, s *State) int {
	switch {
	case pod.Pinned && !d.Forced:
		return rankNever
	case !pod.works():
		return rankBroken
	case pod.Telemetry && pod.Busy == 0:
		return rankIdle
	case !pod.Telemetry && (d.Forced || p.ScaleDown == ScaleDownGraceful || d.Terms.Running < 0.5):
		return rankUnknown
	case pod.Telemetry && (d.Forced || p.ScaleDown == ScaleDownGraceful || s.drains(p)):
		return rankBusy
	}
	return rankNever
}

// drainMargin is the part of the time to drain, in seconds, that is not left to jobs: the runtime gives back what still runs a little before the kubelet ends it.
const drainMargin = 10

// drains tells whether a pod with more slots than one may be told to stop while it works: it drains, where its jobs end within the time for it.
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

// compareSince puts the pod that has been idle for longer first; where that is unknown, last.
func compareSince(a, b *PodSample) int {
	if a.Since.IsZero() || b.Since.IsZero() {
		return cmp.Compare(boolInt(a.Since.IsZero()), boolInt(b.Since.IsZero()))
	}
	return a.Since.Compare(b.Since)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
