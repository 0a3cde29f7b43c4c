package world

import (
	"time"
)

// evidence: from one poll and two seconds after pods are known to be blocked (30 s), and for as long as none becomes
// ready, no more pods are ordered than those that were then, or a few beside those that work: the rules of
// internal/scaling.
func (j *judge) evidence() {
	for pool := range j.w.plan.Pools {
		known := 30*time.Second + j.poll(pool) + 2*time.Second
		var since time.Time
		var then int32
		ready, reported := 0, false
		for i := range j.m.samples[pool] {
			s := &j.m.samples[pool][i]
			better := s.ready > ready
			ready = s.ready
			if !s.exists || !s.auto || s.blocked == 0 || s.rollout || better {
				since, reported = time.Time{}, false
				continue
			}
			if since.IsZero() {
				since, then = s.at, 0
			}
			if s.at.Sub(since) < known+j.m.delays(pool, ofAPI|ofUser|ofLeader, since, s.at) {
				then = max(then, s.replicas)
				continue
			}
			j.checked()
			if limit := max(then, s.min, int32(s.ready+tries(s.ready))); s.replicas > limit && !reported {
				reported = true
				j.violated(s.at, "pool %d orders %d pods while %d are blocked and %d work; %d had been ordered, %d would do", pool, s.replicas, s.blocked, s.ready, then, limit)
			}
		}
	}
}

// tries is how many pods may be ordered beside those that work without evidence that one can start: what the ordering
// rule allows for pods that no node takes, and one that is tried after a while.
func tries(ready int) int { return max(5, (ready+1)/2) + 1 }

// truth: a job server that can't be reached for a minute is in the pool's condition; a condition that says so has a reason.
func (j *judge) truth() {
	for pool := range j.w.plan.Pools {
		said := false
		for i := range j.m.samples[pool] {
			s := &j.m.samples[pool][i]
			if !s.exists || s.at.Sub(j.w.trace.began) < time.Minute || j.m.delays(pool, ofAPI|ofLeader|ofUser, s.at.Add(-2*time.Minute), s.at) > 0 {
				continue
			}
			j.checked()
			gone := j.m.unreachable(pool, s.at.Add(-time.Minute), s.at)
			quiet := j.m.delays(pool, ofServer, s.at.Add(-2*time.Minute), s.at) == 0
			switch {
			case gone && s.answers && !said:
				said = true
				j.violated(s.at, "a job server of pool %d can't be reached for a minute, and JobServersReachable doesn't say so", pool)
			case quiet && !s.answers && !said:
				said = true
				j.violated(s.at, "JobServersReachable of pool %d is False, and no job server had a fault for two minutes", pool)
			}
		}
	}
}

// unreachable reports whether a job server of a pool could not be reached all through a time.
func (m *monitor) unreachable(pool int, from, to time.Time) bool {
	for _, f := range m.faults {
		begin := m.w.trace.began.Add(f.At)
		if m.w.plan.concerns(&f, pool) && (f.Kind == "server-refuses" || f.Kind == "server-unreachable") && !begin.After(from) && !begin.Add(f.For).Before(to) {
			return true
		}
	}
	return false
}

// isolation: while a fault strikes only another pool or the job servers of others, a pool's jobs start as they would
// without it: within S + H + 2D, and what the decision may be late by.
func (j *judge) isolation() {
	for pool := range j.w.plan.Pools {
		limit := targetWait + longestStart + 2*j.poll(pool) + decisionLate
		late, all := 0, 0
		var first *job
		for _, job := range j.w.ledger.jobs {
			if job.pool != pool || len(job.starts) == 0 {
				continue
			}
			begin, end := job.submitted, job.starts[0].at
			others := j.m.sum(ofServer|ofUser, begin, end, func(f *Fault) bool { return !j.w.plan.concerns(f, pool) })
			if others == 0 || j.m.delays(pool, ^class(0), begin.Add(-time.Minute), end) > 0 || !j.couldGrow(pool, begin, end) {
				continue
			}
			all++
			j.checked()
			if end.Sub(begin) > limit {
				late++
				if first == nil {
					first = job
				}
			}
		}
		if first != nil && late > max(all/100, 1) {
			j.violated(first.starts[0].at, "%d of %d jobs of pool %d waited over %s while only others had a fault, the first was %s", late, all, pool, limit, first)
		}
	}
}

// decisionLate is by how much others may delay a decision.
const decisionLate = 250 * time.Millisecond

// memory: an operator whose last pool is gone keeps nothing of any.
func (j *judge) memory() {
	for kind, n := range j.w.kept {
		j.checked()
		if n != 0 {
			j.violated(time.Now(), "%d %s are kept after the last pool was deleted", n, kind)
		}
	}
}
