package scaling

import (
	"math"
	"time"
)

// Decide says how many replicas a pool should have, and returns the state for the next decision.
// The state given is used up, as the slice given to append is: its memory lives on in the one
// returned (Clone it to keep it). Call it once each Policy.Tick; an empty pool may be asked more
// often.
func Decide(p Policy, s State, in Sample, now time.Time) (Decision, State) {
	p = p.withDefaults()
	in.Replicas = max(0, in.Replicas)
	d := Decision{Apply: p.Mode != ModePaused && p.Mode != ModeDryRun}
	steady := steadyMessage
	if in.NoAnswer > 0 {
		s.unanswered(&p, &in, now, &d)
	} else {
		s.noteReplicas(&p, &in, max(s.at(now), s.Last))
		v := s.observe(&p, &in, now)
		s.noteRestart(&p, &in, v.now)
		s.hold(&in, &v, &d)
		s.noteActivity(&v, &d)
		if p.Mode == ModePaused || p.Mode == ModeManual {
			d.Wanted, d.Reason = in.Replicas, ReasonPaused
			s.IdleSlots.restart(v.now)
		} else {
			s.law(&p, &in, &v, &d)
			steady = s.steady(&p, &v)
		}
		d.describe(&p, &v)
	}
	if p.Mode == ModeManual {
		d.Wanted, d.Reason, d.Held, d.Forced = max(0, p.ManualReplicas), ReasonManual, "", true
	}
	d.Replicas = d.Wanted
	if p.Mode != ModePaused {
		if p.Behavior != nil && !d.Forced {
			d.Replicas, d.Limited = s.behave(p.Behavior, d.Wanted, in.Replicas, s.Last)
		}
		d.bound(&p, in.Replicas)
	}
	d.limits(&p, &s)
	s.Wanted = d.Replicas
	d.Message = messages[d.Reason]
	if d.Reason == ReasonSteady {
		d.Message = steady
	}
	return d, s
}

// withDefaults fills in what is absent and mends what makes no sense.
func (p Policy) withDefaults() Policy {
	p.MinReplicas = max(0, p.MinReplicas)
	p.MaxReplicas = max(p.MaxReplicas, p.MinReplicas)
	p.Concurrency = max(1, p.Concurrency)
	p.JobsPerReplica = max(0, p.JobsPerReplica)
	p.TargetWait = max(0, p.TargetWait)
	p.JobTimeHint = max(0, p.JobTimeHint)
	if p.TargetWait == 0 && p.JobsPerReplica == 0 {
		p.TargetWait = 30 * time.Second
	}
	if p.Tick <= 0 {
		p.Tick = 5 * time.Second
	}
	if p.Idle <= 0 {
		p.Idle = 30 * time.Second
	}
	return p
}

// waitOrDefault is the target wait, or for pools without one the time that stands for it where a
// time is needed.
func (p *Policy) waitOrDefault() time.Duration {
	if p.TargetWait > 0 {
		return p.TargetWait
	}
	return 30 * time.Second
}

// noteReplicas starts the idle window anew after every change of replicas, our own or not, but for
// a part of a scale-down, and remembers it for behavior.
func (s *State) noteReplicas(p *Policy, in *Sample, now float64) {
	if by := in.Replicas - s.Replicas; by != 0 {
		if by < 0 && in.Replicas > s.Wanted {
			// A part of what was to go has gone, idle as it was: the rest need not be idle for a
			// window more.
			s.IdleSlots.shift(float64(by) * float64(p.Concurrency))
			s.SpareSlots.shift(float64(by) * float64(p.Concurrency))
		} else {
			s.IdleSlots.restart(now)
		}
		if p.Behavior != nil && s.Seen {
			s.changed(now, by, p.Behavior.longest())
		}
		s.Replicas, s.Changed = in.Replicas, now
	}
}

// noteRestart begins a hold where the operator has just started, or a job server may have: for as
// long as the windows and the longest jobs last.
func (s *State) noteRestart(p *Policy, in *Sample, now float64) {
	window := clamp(max(s.idleWindow(), p.Idle.Seconds(), s.longestJob()), 30, 1800)
	if s.HoldUntil < 0 && in.NoAnswer <= 0 {
		s.HoldUntil, s.HoldWhy = now+window, HoldStart
	}
	if in.PossibleRestart {
		if s.Dark {
			// Only the job servers said what these pods work on. Until a job's time is over, it may
			// go on unseen.
			window = max(window, p.Drain.Seconds())
		}
		s.HoldUntil, s.HoldWhy = max(s.HoldUntil, now+window), HoldRestart
	}
}

// hold says whether the pool may get smaller.
func (s *State) hold(in *Sample, v *view, d *Decision) {
	switch {
	case in.Partial:
		d.Held = HoldPartial
	case in.Rollout:
		d.Held = HoldRollout
	case v.now < s.HoldUntil:
		d.Held = s.HoldWhy
	}
}

// unanswered decides while no job server answers: the fallback's number once its time has come,
// else nothing changes.
func (s *State) unanswered(p *Policy, in *Sample, t time.Time, d *Decision) {
	now := max(s.at(t), s.Last)
	s.noteReplicas(p, in, now)
	s.noteRestart(p, in, now)
	s.IdleSlots.restart(now)
	s.Active, s.Quiet = now, -1
	d.Wanted, d.Reason, d.Held = in.Replicas, ReasonServersNoAnswer, HoldPartial
	f := p.Fallback
	if f == nil || in.NoAnswer < f.After {
		return
	}
	switch f.Policy {
	case FallbackStatic:
		d.Wanted, d.Reason, d.Forced = max(0, f.Replicas), ReasonFallback, true
	case FallbackAtLeast:
		d.Wanted, d.Reason = max(in.Replicas, f.Replicas), ReasonFallback
	}
	if p.Mode == ModePaused {
		d.Wanted, d.Reason = in.Replicas, ReasonPaused
	}
}

// law is the law itself: up by the earliest deadline, down by what is idle.
func (s *State) law(p *Policy, in *Sample, v *view, d *Decision) {
	d.Terms.Keep = keep(v.load)
	floor := s.up(p, in, v, d)
	if d.Wanted > in.Replicas {
		s.IdleSlots.restart(v.now)
		s.woke(p, in, v)
		return
	}
	s.down(p, in, v, d, floor)
	if d.Reason == ReasonSteady && v.notRunnable {
		d.Reason = ReasonNotRunnable
	}
}

// While nothing is known about a pool's jobs and there is time to learn, it begins with a few
// scouts: 1.5 times the root of the replicas that it seems to need (between one and all of them,
// where all would be far too many if the jobs are short, and one too late if they are long), three
// at least.
const (
	scouts    = 3
	scoutRoot = 1.5
)

// up asks for more replicas where the queue needs them. It returns the fewest replicas that the
// pool must keep.
func (s *State) up(p *Policy, in *Sample, v *view, d *Decision) (floor int32) {
	d.Wanted, d.Reason = in.Replicas, ReasonSteady
	replicas := float64(in.Replicas)
	floor = count(math.Ceil(d.Terms.Keep / v.slotsPerPod))
	if p.TargetWait > 0 {
		target := p.TargetWait.Seconds()
		s.Scarce = target <= v.boot+v.tick || (s.Scarce && target <= 1.2*(v.boot+v.tick))
		present := capacity{
			free: v.free, starting: v.starting, wait: v.wait, boot: v.boot + v.tick, target: target, scarce: s.Scarce,
		}
		slots, urgent := s.missing(v.now, v.tick, present)
		care := s.starved(v.now, v.tick, v.free, v.slots+v.starting, v.boot+v.tick, target)
		d.Terms.Missing = max(slots, care)
		whole := math.Floor
		if urgent || in.Replicas == 0 {
			whole = math.Ceil
		}
		pods := whole(slots / v.slotsPerPod)
		if s.Telemetry || v.slots == 0 {
			// How long a job takes is a guess until some have ended well. As long as there is time,
			// a few scouts find out; and before the first has ended, nobody knows whether more
			// replicas do any good.
			if v.unsure && !urgent {
				present.sure = true
				known, _ := s.missing(v.now, v.tick, present)
				few := max(scouts, math.Ceil(scoutRoot*math.Sqrt(replicas+pods))) - replicas
				pods = min(pods, max(few, whole(known/v.slotsPerPod)))
			}
		}
		pods = max(pods, math.Ceil(care/v.slotsPerPod))
		if (s.Telemetry || v.slots == 0) && !v.known {
			pods = min(pods, max(5, float64(p.MaxReplicas)/10))
		}
		if pods >= 1 {
			d.want(count(replicas+pods), ReasonTargetWait)
		}
		if s.Scarce {
			staff := count(math.Ceil(staffing(v.load, v.jobTime, target) / v.slotsPerPod))
			floor = max(floor, staff)
			if s.Active == v.now { // not for a load that is over
				d.want(staff, ReasonStaffing)
			}
		}
	}
	if j := float64(p.JobsPerReplica); j > 0 {
		n := count(max(math.Ceil(v.running/v.slotsPerPod), math.Ceil(v.queued/j)))
		floor = max(floor, n)
		d.want(n, ReasonJobsPerReplica)
	}
	if in.Replicas == 0 && v.queued > 0 {
		d.Wanted, d.Reason = max(1, d.Wanted), ReasonFromZero
	}
	return floor
}

// want raises the wish to n.
func (d *Decision) want(n int32, why Reason) {
	if n > d.Wanted {
		d.Wanted, d.Reason = n, why
	}
}

// bound brings the number within the bounds, which win over everything.
func (d *Decision) bound(p *Policy, present int32) {
	n := min(max(d.Replicas, p.MinReplicas), p.MaxReplicas)
	switch {
	case n > d.Replicas:
		d.Limited = LimitMinimum
		if n > present {
			d.Reason = ReasonBelowMinimum
		}
	case n < d.Replicas:
		d.Limited = LimitMaximum
		if n < present {
			d.Reason, d.Forced, d.Held = ReasonAboveMaximum, true, ""
		}
	}
	d.Replicas = n
}

// limits fills in what PlanPods goes by.
func (d *Decision) limits(p *Policy, s *State) {
	d.Floor, d.Ceiling = p.MinReplicas, p.MaxReplicas
	if d.Forced {
		d.Ceiling = d.Replicas
	}
	if d.Reason == ReasonManual || d.Reason == ReasonFallback {
		d.Floor = d.Replicas
	}
	d.Drains, d.Start = s.drains(p), seconds(s.boot())
}

// describe fills in the numbers behind the decision.
func (d *Decision) describe(p *Policy, v *view) {
	t := &d.Terms
	t.Queued, t.Stuck, t.Running, t.Foreign = v.queued, v.stuck, v.running, v.foreign
	t.Slots, t.Starting, t.Free, t.Load = v.slots, v.starting, v.free, v.load
	t.JobSeconds, t.Boot, t.OldestWait, t.Target = v.jobTime, v.boot, v.oldest, p.TargetWait.Seconds()
	d.OldestWait, d.JobTime = seconds(v.oldest), seconds(v.jobTime)
	d.NotRunnable, d.NotProgressing = v.notRunnable, v.notProgressing
}

// count makes a number of replicas of x.
func count(x float64) int32 { return int32(clamp(x, 0, math.MaxInt32)) }
