package scaling

import (
	"math"
	"time"
)

// Decide returns how many replicas a pool should have, and the state for the next decision. It
// takes over the given state, as append does its slice: the returned state uses its memory (Clone
// it to keep it). Call it once each Policy.Tick; for an empty pool it may be called more often.
func Decide(p Policy, s State, in Sample, now time.Time) (Decision, State) {
	p = p.withDefaults()
	in.Replicas = max(0, in.Replicas)
	d := Decision{Apply: p.Mode != ModePaused && p.Mode != ModeDryRun}
	steady := steadyMessage
	if in.NoAnswer > 0 {
		s.unanswered(&p, &in, now, &d)
	} else {
		s.recordReplicas(&p, &in, max(s.at(now), s.Last))
		v := s.observe(&p, &in, now)
		s.recordRestart(&p, &in, v.now)
		s.hold(&in, &v, &d)
		s.recordActivity(&v, &d)
		if p.Mode == ModePaused || p.Mode == ModeManual {
			d.Wanted, d.Reason = in.Replicas, ReasonPaused
			s.IdleSlots.restart(v.now)
		} else {
			s.law(&p, &in, &v, &d)
			s.calmIdleUnknown(&p, &in, &v, &d)
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
			d.Replicas, d.Limited = s.applyBehavior(p.Behavior, d.Wanted, in.Replicas, s.Last)
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

// withDefaults fills in unset fields and corrects invalid ones.
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

// waitOrDefault is the target wait, or a default for pools without one.
func (p *Policy) waitOrDefault() time.Duration {
	if p.TargetWait > 0 {
		return p.TargetWait
	}
	return 30 * time.Second
}

// recordReplicas restarts the idle window after every change of replicas, our own or not, except
// for a part of a scale-down, and records the change for behavior.
func (s *State) recordReplicas(p *Policy, in *Sample, now float64) {
	if by := in.Replicas - s.Replicas; by != 0 {
		if by < 0 && in.Replicas > s.Wanted {
			// A part of the scale-down was done, with idle pods: the rest need not be idle for
			// another window.
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

// recordRestart begins a hold if the operator has just started, or a job server may have restarted:
// for as long as the windows and the longest jobs last.
func (s *State) recordRestart(p *Policy, in *Sample, now float64) {
	window := clamp(max(s.idleWindow(), p.Idle.Seconds(), s.longestJob()), 30, 1800)
	if s.HoldUntil < 0 && in.NoAnswer <= 0 {
		s.HoldUntil, s.HoldWhy = now+window, HoldStart
	}
	if in.PossibleRestart {
		if s.WithoutTelemetry {
			// Only the job servers reported which jobs these pods run. A job may run on unseen
			// until its time is over.
			window = max(window, p.Drain.Seconds())
		}
		s.HoldUntil, s.HoldWhy = max(s.HoldUntil, now+window), HoldRestart
	}
}

// hold sets the reason why the pool may not be scaled down, if there is one.
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

// unanswered decides while no job server answers: the fallback's number once its time has passed,
// no change before.
func (s *State) unanswered(p *Policy, in *Sample, t time.Time, d *Decision) {
	now := max(s.at(t), s.Last)
	s.recordReplicas(p, in, now)
	s.recordRestart(p, in, now)
	s.IdleSlots.restart(now)
	s.LastActive, s.QuietSince = now, -1
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

// law scales up by the earliest deadline, and down by what is idle.
func (s *State) law(p *Policy, in *Sample, v *view, d *Decision) {
	d.Terms.Keep = keep(v.load)
	floor := s.scaleUp(p, in, v, d)
	if d.Wanted > in.Replicas {
		s.IdleSlots.restart(v.now)
		s.learnIdleFactor(p, in, v)
		return
	}
	s.scaleDown(p, in, v, d, floor)
	if d.Reason == ReasonSteady && v.notRunnable {
		d.Reason = ReasonNotRunnable
	}
}

// While nothing is known about a pool's jobs and there is time to learn, it starts with a few trial
// pods: 1.5 times the square root of the replicas that it seems to need (between one and all of
// them: all would be far too many if the jobs are short, and one too late if they are long), at
// least three.
const (
	minTrials   = 3
	trialFactor = 1.5
)

// scaleUp raises the wanted replicas if the queue needs more. It returns the fewest replicas that
// the pool must keep.
func (s *State) scaleUp(p *Policy, in *Sample, v *view, d *Decision) (floor int32) {
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
		starvedSlots := s.starved(v.now, v.tick, v.free, v.slots+v.starting, v.boot+v.tick, target)
		d.Terms.Missing = max(slots, starvedSlots)
		round := math.Floor
		if urgent || in.Replicas == 0 {
			round = math.Ceil
		}
		pods := round(slots / v.slotsPerPod)
		if s.Telemetry || v.slots == 0 {
			// The job time is a guess until some jobs have completed. As long as there is time, a
			// few trial pods measure it; and before the first job has completed, it is unknown
			// whether more replicas help.
			if v.unsure && !urgent {
				present.sure = true
				known, _ := s.missing(v.now, v.tick, present)
				trials := max(minTrials, math.Ceil(trialFactor*math.Sqrt(replicas+pods))) - replicas
				pods = min(pods, max(trials, round(known/v.slotsPerPod)))
			}
		}
		pods = max(pods, math.Ceil(starvedSlots/v.slotsPerPod))
		if (s.Telemetry || v.slots == 0) && !v.known {
			pods = min(pods, max(5, float64(p.MaxReplicas)/10))
		}
		if pods >= 1 {
			d.want(count(replicas+pods), ReasonTargetWait)
		}
		if s.Scarce {
			staff := count(math.Ceil(staffing(v.load, v.jobTime, target) / v.slotsPerPod))
			floor = max(floor, staff)
			if s.LastActive == v.now { // not for a load that is over
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

// want raises the wanted replicas to n.
func (d *Decision) want(n int32, why Reason) {
	if n > d.Wanted {
		d.Wanted, d.Reason = n, why
	}
}

// bound applies the bounds, which override everything else.
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

// limits sets the fields that PlanPods needs.
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

// describe records the numbers behind the decision.
func (d *Decision) describe(p *Policy, v *view) {
	t := &d.Terms
	t.Queued, t.Stuck, t.Running, t.Foreign = v.queued, v.stuck, v.running, v.foreign
	t.Slots, t.Starting, t.Free, t.Load = v.slots, v.starting, v.free, v.load
	t.JobSeconds, t.Boot, t.OldestWait, t.Target = v.jobTime, v.boot, v.oldest, p.TargetWait.Seconds()
	d.OldestWait, d.JobTime = seconds(v.oldest), seconds(v.jobTime)
	d.NotRunnable, d.NotProgressing = v.notRunnable, v.notProgressing
}

// count converts x to a number of replicas.
func count(x float64) int32 { return int32(clamp(x, 0, math.MaxInt32)) }
