package world

import "time"

// isolation checks pools while a fault affects only another pool or the job servers of others. A
// pool's jobs must start as they would without the fault: within S + H + 2D and the allowed delay
// of a decision. A pool without pods must order its first one as soon as without the fault.
func (j *judge) isolation() {
	for pool := range j.w.plan.Pools {
		j.wakes(pool)
		limit := targetWait + longestStart + 2*j.poll(pool) + decisionLate
		late, all := 0, 0
		var first *job
		for _, job := range j.w.ledger.jobs {
			if job.pool != pool || len(job.starts) == 0 {
				continue
			}
			begin, end := job.submitted, job.starts[0].at
			others := j.m.sum(ofServer|ofUser, begin, end, func(f *Fault) bool { return !j.w.plan.concerns(f, pool) })
			if others == 0 || j.m.delays(pool, ^class(0), begin.Add(-time.Minute), end) > 0 ||
				!j.couldGrow(pool, begin, end) {
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
			j.violated(
				first.starts[0].at,
				"%d of %d jobs of pool %d waited over %s while only others had a fault, the first was %s", late, all,
				pool, limit, first,
			)
		}
	}
}

// decisionLate is how long others may delay a decision.
const decisionLate = 250 * time.Millisecond

// wakeTime is the time from a poll that shows the first job until the first pod is ordered: the
// wait for a verdict, and a write.
const wakeTime = time.Second

// wakes checks that a pool that has no pods and gets a job while only others have a fault orders a
// pod in time. The limit is D, the time that waking takes, and how long others may delay a
// decision. A job that starts sooner needs no pod: it runs on a pod that somebody took from the
// pool.
func (j *judge) wakes(pool int) {
	limit := j.poll(pool) + wakeTime + decisionLate
	reported := false
	for _, job := range j.w.ledger.jobs {
		at := job.submitted
		others := j.m.sum(
			ofServer|ofUser, at, at.Add(limit), func(f *Fault) bool { return !j.w.plan.concerns(f, pool) },
		)
		if job.pool != pool || others == 0 || !j.asleep(pool, at) || job.startedBy(at.Add(limit)) ||
			j.m.delays(pool, ^class(0), at.Add(-time.Minute), at.Add(limit)) > 0 {
			continue
		}
		j.checked()
		if took := j.m.wokenAfter(pool, at); took > limit && !reported {
			reported = true
			j.violated(
				at.Add(limit), "pool %d had no pods and ordered one %s after %s came, while only others had a fault; want %s",
				pool, took.Round(time.Millisecond), job, limit,
			)
		}
	}
}

// startedBy reports whether a job had started at a time.
func (j *job) startedBy(t time.Time) bool { return len(j.starts) > 0 && !j.starts[0].at.After(t) }

// asleep reports whether a pool had no pods, no jobs and nothing that kept it from having some in
// the seconds before a time.
func (j *judge) asleep(pool int, at time.Time) bool {
	before := j.between(pool, at.Add(-3*time.Second), at)
	for i := range before {
		if s := &before[i]; !s.exists || !s.auto || s.max < 1 || s.replicas > 0 || s.open > 0 {
			return false
		}
	}
	return len(before) > 0
}

// wokenAfter returns how long after a time a pool's replicas were first raised.
func (m *monitor) wokenAfter(pool int, from time.Time) time.Duration {
	for _, at := range m.raised[pool] {
		if at.After(from) {
			return at.Sub(from)
		}
	}
	return time.Since(from)
}
