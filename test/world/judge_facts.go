package world

import (
	"slices"
	"time"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// evidence checks that no pods are ordered against the evidence that they can't start. The check
// begins twice scaling.ProvenAfter, one poll and two seconds after pods were first blocked. It
// lasts as long as no other pod becomes ready or gets the node or the image that it waited for.
// Meanwhile no more pods may be ordered than when it began, or a few beside those that work, by the
// rules of internal/scaling. A pod that becomes ready is evidence only once it has been ready for
// as long. From then on the pods that were blocked before say nothing of the others, up to as many
// as work. If somebody else sets the replicas, those are ordered, but not by the operator.
func (j *judge) evidence() {
	for pool := range j.w.plan.Pools {
		known := 2*scaling.ProvenAfter + j.poll(pool) + 2*time.Second
		var since time.Time
		var then int32
		var betterAt, worseAt time.Time // when more pods worked, or more were blocked
		working, placed, blocked, foreign, reported := 0, 0, 0, 0, false
		for i := range j.m.samples[pool] {
			s := &j.m.samples[pool][i]
			better := s.working > working || s.placed > placed
			if s.working > working {
				betterAt = s.at
			}
			if s.blocked > blocked {
				worseAt = s.at
			}
			scaled := s.foreign > foreign // by somebody else
			working, placed, blocked, foreign = s.working, s.placed, s.blocked, s.foreign
			excused := betterAt.After(worseAt) && s.at.Sub(betterAt) >= scaling.ProvenAfter &&
				s.blocked <= s.working
			if !s.exists || !s.auto || s.blocked == 0 || s.rollout || better || excused {
				since, reported = time.Time{}, false
				continue
			}
			if since.IsZero() {
				since, then = s.at, 0
			}
			if scaled || s.at.Sub(since) < known+j.m.delays(pool, ofAPI|ofUser|ofLeader, since, s.at) {
				then = max(then, s.replicas)
				continue
			}
			then = max(then, min(s.replicas, s.min)) // a schedule that has ended leaves pods
			j.checked()
			if limit := max(then, s.min, int32(s.working+s.tries())); s.replicas > limit && !reported {
				reported = true
				j.violated(
					s.at, "pool %d orders %d pods while %d are blocked and %d work; %d had been ordered, %d would do",
					pool, s.replicas, s.blocked, s.working, then, limit,
				)
			}
		}
	}
}

// tries is how many pods may be ordered beside those that work without evidence that one can start.
// That is what the ordering rule allows for pods that fit on no node, or for workers that can't run
// jobs, and one that is tried after a while.
func (s *snapshot) tries() int {
	if s.working == 0 && s.unfit > 0 && s.unfit == s.blocked {
		return 2 + 1
	}
	return max(5, (s.working+1)/2) + 1
}

// truth checks that the pool's conditions are true, and that what they must report is reported
// within a minute.
func (j *judge) truth() {
	for pool := range j.w.plan.Pools {
		j.truthOfContest(pool)
		j.truthOfFitness(pool)
		said := false
		for i := range j.m.samples[pool] {
			s := &j.m.samples[pool][i]
			if !s.exists || s.at.Sub(j.w.trace.began) < time.Minute ||
				j.m.delays(pool, ofAPI|ofLeader|ofUser, s.at.Add(-2*time.Minute), s.at) > 0 {
				continue
			}
			j.checked()
			gone := j.m.unreachable(pool, s.at.Add(-time.Minute), s.at)
			quiet := j.m.delays(pool, ofServer, s.at.Add(-2*time.Minute), s.at) == 0
			switch {
			case gone && s.answers && !said:
				said = true
				j.violated(
					s.at,
					"a job server of pool %d can't be reached for a minute, and JobServersReachable doesn't say so",
					pool,
				)
			case quiet && !s.answers && !said:
				said = true
				j.violated(
					s.at, "JobServersReachable of pool %d is False, and no job server had a fault for two minutes",
					pool,
				)
			}
		}
	}
}

// truthOfContest checks that the operator reports contested replicas within a minute of their
// second change by somebody else within ten minutes, and never without. Its own writes whose
// answers were lost are its own.
func (j *judge) truthOfContest(pool int) {
	reported := false
	var since time.Time // start of the current run of snapshots with two changes by others
	for i := range j.m.samples[pool] {
		s := &j.m.samples[pool][i]
		if s.foreign < 2 || !s.exists {
			since = time.Time{}
		} else if since.IsZero() {
			since = s.at
		}
		if !s.exists || reported {
			continue
		}
		j.checked()
		late := time.Minute + j.m.delays(pool, ofAPI|ofLeader, s.at.Add(-contestWindow), s.at)
		switch lasts := s.at.Sub(since); {
		case s.saysContested && j.foreignWithin(pool, s.at.Add(-contestWindow-late)) < 2:
			reported = true
			j.violated(
				s.at, "ScalingActive of pool %d is False for Contested, and nobody else changed its replicas twice",
				pool,
			)
		case !since.IsZero() && !s.saysContested && lasts > time.Minute && lasts < contestWindow-time.Minute &&
			j.contestIsSeen(pool, since, s.at):
			reported = true
			j.violated(
				s.at,
				"somebody else changed the replicas of pool %d twice, and ScalingActive doesn't say so after a minute",
				pool,
			)
		}
	}
}

// truthOfFitness checks that workers that can't run jobs and report it are in the pool's condition
// within a minute, and that the condition is true only if there are any.
func (j *judge) truthOfFitness(pool int) {
	var fit, unfit time.Time // start of the current run of snapshots without and with unfit workers
	reported := false
	for i := range j.m.samples[pool] {
		s := &j.m.samples[pool][i]
		if s.unfit == 0 || !s.exists {
			unfit = time.Time{}
		} else if unfit.IsZero() {
			unfit = s.at
		}
		if s.unfit > 0 || !s.exists {
			fit = time.Time{}
		} else if fit.IsZero() {
			fit = s.at
		}
		late := s.at.Add(-2 * time.Minute)
		if !s.exists || reported || j.m.delays(pool, ofAPI|ofServer|ofLeader|ofUser, late, s.at) > 0 ||
			j.m.sum(ofPods, late, s.at, func(f *Fault) bool { return f.Kind != commandBroken }) > 0 {
			continue
		}
		j.checked()
		switch {
		case !unfit.IsZero() && s.at.Sub(unfit) > time.Minute && !s.saysUnfit:
			reported = true
			j.violated(
				s.at,
				"%d workers of pool %d have not been able to run jobs for a minute, and WorkersUnfit doesn't say so",
				s.unfit, pool,
			)
		case !fit.IsZero() && s.at.Sub(fit) > time.Minute && s.saysUnfit:
			reported = true
			j.violated(s.at, "WorkersUnfit of pool %d is True, and for a minute each worker could run jobs", pool)
		}
	}
}

// foreignWithin counts the changes by somebody else of a pool's replicas or template since a time.
func (j *judge) foreignWithin(pool int, from time.Time) (n int) {
	for _, t := range j.m.foreign[pool] {
		if t.After(from) {
			n++
		}
	}
	for _, f := range j.m.faults {
		if f.Kind == "kubectl-edit" && f.Pool == pool && j.w.trace.began.Add(f.At).After(from) {
			n++
		}
	}
	return n
}

// contestIsSeen reports whether nothing keeps the operator from counting each change of replicas by
// somebody else: it was there, could read, wasn't told to leave them, no two came at once, and none
// while a write of its own was on its way.
func (j *judge) contestIsSeen(pool int, since, at time.Time) bool {
	from := since.Add(-contestWindow)
	if j.m.delays(pool, ofAPI|ofLeader, from, at) > 0 || j.m.delays(pool, ofServer, at.Add(-time.Minute), at) > 0 {
		return false
	}
	for _, s := range j.between(pool, from, at.Add(time.Millisecond)) { // this snapshot too
		if s.mode != v1alpha1.ModeAuto {
			return false
		}
	}
	if slices.ContainsFunc(j.m.overwritten[pool], func(t time.Time) bool { return t.After(from) }) {
		return false
	}
	changes := j.m.foreign[pool]
	for i := 1; i < len(changes); i++ {
		if changes[i].Sub(changes[i-1]) < 2*time.Second {
			return false
		}
	}
	return true
}

// unreachable reports whether a job server of a pool could not be reached throughout a period.
func (m *monitor) unreachable(pool int, from, to time.Time) bool {
	for _, f := range m.faults {
		begin := m.w.trace.began.Add(f.At)
		gone := f.Kind == "server-refuses" || f.Kind == "server-unreachable" || f.Kind == certificateExpires
		if gone && m.w.plan.concerns(&f, pool) && !begin.After(from) && !begin.Add(f.For).Before(to) {
			return true
		}
	}
	return false
}

// memory checks that an operator whose last pool is gone keeps nothing about any pool.
func (j *judge) memory() {
	for kind, n := range j.w.kept {
		j.checked()
		if n != 0 {
			j.violated(time.Now(), "%d %s are kept after the last pool was deleted", n, kind)
		}
	}
}
