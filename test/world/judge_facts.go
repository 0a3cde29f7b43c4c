package world

import (
	"time"
)

// evidence: from one poll and two seconds after pods are known to be blocked (30 s), and until a pod becomes ready, no more pods are ordered than those that were
// then, or a few: rules of internal/scaling.
func (j *judge) evidence() {
	for pool := range j.w.plan.Pools {
		known := 30*time.Second + j.poll(pool) + 2*time.Second
		var since time.Time
		var then int32
		for i := range j.m.samples[pool] {
			s := &j.m.samples[pool][i]
			if !s.exists || !s.auto || s.blocked == 0 || s.ready > 0 || s.rollout {
				since = time.Time{}
				continue
			}
			if since.IsZero() {
				since = s.at
			}
			if s.at.Sub(since) < known+j.m.delays(ofAPI|ofUser|ofLeader, since, s.at) {
				then = s.replicas
				continue
			}
			j.checked()
			if limit := max(then, s.min, mostTries); s.replicas > limit {
				j.violated(s.at, "pool %d orders %d pods while %d are blocked and none works; %d had been ordered", pool, s.replicas, s.blocked, then)
				since = time.Time{}
			}
		}
	}
}

// mostTries is how many pods may be ordered without evidence that one can start.
const mostTries = 5

// truth: a job server that can't be reached for a minute is in the pool's condition; a condition that says so has a reason.
func (j *judge) truth() {
	for pool := range j.w.plan.Pools {
		said := false
		for i := range j.m.samples[pool] {
			s := &j.m.samples[pool][i]
			if !s.exists || s.at.Sub(j.w.trace.began) < time.Minute || j.m.delays(ofAPI|ofLeader|ofUser, s.at.Add(-2*time.Minute), s.at) > 0 {
				continue
			}
			j.checked()
			gone := j.m.unreachable(s.at.Add(-time.Minute), s.at)
			quiet := j.m.delays(ofServer, s.at.Add(-2*time.Minute), s.at) == 0
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

// unreachable reports whether a job server could not be reached all through a time.
func (m *monitor) unreachable(from, to time.Time) bool {
	for _, f := range m.faults {
		begin := m.w.trace.began.Add(f.At)
		if (f.Kind == "server-refuses" || f.Kind == "server-unreachable") && !begin.After(from) && !begin.Add(f.For).Before(to) {
			return true
		}
	}
	return false
}

// memory: an operator whose last pool is gone keeps nothing of any.
func (j *judge) memory() {
	for kind, n := range j.w.kept {
		j.checked()
		if n != 0 {
			j.violated(time.Now(), "%d %s are kept after the last pool was deleted", n, kind)
		}
	}
}
