package world

import (
	"slices"
	"time"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/policy"
)

const (
	// longestStart is the longest time that a pod of the world takes from its creation to its first
	// job.
	longestStart = 12 * time.Second
	targetWait   = 30 * time.Second // the default
	drainReserve = 10 * time.Second // a job must be this much shorter than the drain to finish for sure
)

// interrupted is called by a process that ended while a job ran.
func (w *World) interrupted(j *job, p *process, excuse string) {
	w.trace.add("%s is cut off on %s (%s)", j, p.pod, excuse)
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	for i := range j.starts {
		if s := &j.starts[i]; s.pod == p.pod && s.end.IsZero() {
			s.cutOff = excuse
			if excuse == "" {
				s.cutOff = "cut off"
				if j.takes > p.drain-drainReserve {
					s.cutOff = "longer than the drain"
				}
			}
		}
	}
}

func (j *judge) noLoss() {
	for _, job := range j.w.ledger.jobs {
		j.checked()
		if job.completed == 0 {
			j.violated(time.Now(), "%s was accepted and never completed; %d starts", job, len(job.starts))
		}
		if a, b := job.repeated(); b != nil && !j.mayRepeat(job, a, b) {
			j.violated(
				b.at, "%s was started %d times (on %s, then %s) without a fault", job, len(job.starts), a.pod, b.pod,
			)
		}
	}
}

// mayRepeat reports whether a fault explains that a job started again.
func (j *judge) mayRepeat(job *job, first, second *start) bool {
	return j.m.delays(job.pool, ofServer|ofPods, first.at, second.at.Add(time.Second)) > 0 || first.cutOff != ""
}

func (j *judge) noInterruption() {
	for _, job := range j.w.ledger.jobs {
		for _, s := range job.starts {
			switch s.cutOff {
			case "":
				j.checked()
			case "cut off":
				j.violated(s.end, "%s was cut off on %s after %s", job, s.pod, s.end.Sub(s.at).Round(time.Millisecond))
			default:
				j.excuse(s.cutOff)
			}
		}
	}
}

func (j *judge) poll(pool int) time.Duration {
	return policy.Poll(&v1alpha1.GearmanWorkerPoolSpec{Scaling: j.w.poolOf(pool).Spec.Scaling})
}

// bounds checks that replicas are within the bounds D + 13 s after either changed, and pods that
// take jobs D + 20 s after. Faults extend that by as long as they last.
func (j *judge) bounds() {
	for pool := range j.w.plan.Pools {
		d := j.poll(pool)
		j.episodes(pool, "replicas", d+13*time.Second, func(s *snapshot) (int, bool) {
			return int(s.replicas), s.replicas < s.min || s.replicas > s.max
		})
		j.episodes(
			pool, "pods that take jobs", d+20*time.Second,
			func(s *snapshot) (int, bool) { return s.ready, s.ready > int(s.max) && !s.rollout },
		)
	}
}

func (j *judge) episodes(pool int, what string, limit time.Duration, outside func(*snapshot) (int, bool)) {
	var since, reported time.Time
	for i := range j.m.samples[pool] {
		s := &j.m.samples[pool][i]
		if !s.exists {
			since = time.Time{}
			continue
		}
		n, out := outside(s)
		j.checked()
		if !out {
			since, reported = time.Time{}, time.Time{}
			continue
		}
		if since.IsZero() {
			since = s.at
		}
		allowed := limit + time.Second + j.m.delays(pool, ofAPI|ofLeader|ofPods, since, s.at)
		if s.at.Sub(since) > allowed && reported.IsZero() {
			reported = s.at
			j.violated(
				s.at, "pool %d has %d %s for %s, bounds are %d to %d", pool, n, what,
				s.at.Sub(since).Round(time.Second), s.min, s.max,
			)
		}
	}
}

// up checks that jobs that waited while the pool could still scale up start within S + H + 2D,
// except for one in a hundred. None may take twice that.
func (j *judge) up() {
	for pool := range j.w.plan.Pools {
		limit := targetWait + longestStart + 2*j.poll(pool)
		late, all := 0, 0
		var worst, first *job
		for _, job := range j.w.ledger.jobs {
			if job.pool != pool || len(job.starts) == 0 {
				continue
			}
			wait := job.starts[0].at.Sub(job.submitted)
			if !j.couldGrow(pool, job.submitted, job.starts[0].at) {
				continue // at its maximum, or held by the user: waiting is right
			}
			all++
			j.checked()
			allowed := limit + j.m.delays(
				pool, ofAPI|ofServer|ofPods|ofLeader|ofUser, job.submitted.Add(-time.Minute), job.starts[0].at,
			)
			if wait > allowed {
				late++
				if first == nil {
					first = job
				}
			}
			if wait > 2*allowed && (worst == nil || wait > worst.starts[0].at.Sub(worst.submitted)) {
				worst = job
			}
		}
		if worst != nil {
			j.violated(
				worst.starts[0].at, "%s waited %s, the limit is %s and twice that for none", worst,
				worst.starts[0].at.Sub(worst.submitted).Round(time.Second), limit,
			)
		}
		if first != nil && late > max(all/100, 1) {
			j.violated(
				first.starts[0].at, "%d of %d jobs of pool %d waited over %s, the first was %s", late, all, pool, limit,
				first,
			)
		}
	}
}

// couldGrow reports whether a pool had room for more pods throughout a period.
func (j *judge) couldGrow(pool int, from, to time.Time) bool {
	if r := j.w.plan.Pools[pool].Rates; r != nil && r.Up > 0 {
		return false // as fast as its behavior allows
	}
	for _, s := range j.between(pool, from, to.Add(time.Second)) {
		if !s.exists || !s.auto || s.replicas >= s.max {
			return false
		}
	}
	return true
}

func (j *judge) between(pool int, from, to time.Time) []snapshot {
	all := j.m.samples[pool]
	less := func(s snapshot, t time.Time) int { return s.at.Compare(t) }
	a, _ := slices.BinarySearchFunc(all, from, less)
	b, _ := slices.BinarySearchFunc(all, to, less)
	return all[a:b]
}

// down checks that, if the jobs of the last 2W + 3D needed n slots at most, no more pods live than
// those need and a tenth.
func (j *judge) down() {
	for pool := range j.w.plan.Pools {
		p := &j.w.plan.Pools[pool]
		if p.Rates != nil && p.Rates.Down > 0 {
			continue // as fast as its behavior allows
		}
		var longest time.Duration
		for _, s := range p.Streams {
			longest = max(longest, s.Mean)
		}
		span := 2*max(2*longest, 2*time.Minute) + 3*j.poll(pool)
		reported := false
		for i := range j.m.samples[pool] {
			s := &j.m.samples[pool][i]
			if s.at.Sub(j.w.trace.began) < span+30*time.Second {
				continue
			}
			past := j.between(pool, s.at.Add(-span), s.at)
			if !calm(past) || j.m.delays(pool, ^class(0), s.at.Add(-span), s.at) > 0 ||
				j.m.stretched(pool, longest, s.at.Add(-span)) {
				continue
			}
			most := s.open
			for k := range past {
				most = max(most, past[k].open)
			}
			if p.Target && most > 0 {
				continue // which pods of a target are removed is unknown, so they are removed when no job runs
			}
			n := (most + int(p.Concurrency) - 1) / int(p.Concurrency)
			limit := max(int(s.min), n) + max(1, n/10)
			j.checked()
			if s.live <= limit {
				reported = false
			} else if !reported {
				reported = true
				j.violated(
					s.at, "pool %d has %d pods, while for %s its jobs needed %d slots at most: %d pods would do", pool,
					s.live, span, most, limit,
				)
			}
		}
	}
}

func calm(past []snapshot) bool {
	for i := range past {
		if s := &past[i]; !s.exists || !s.auto || s.rollout || s.min != past[0].min || s.max != past[0].max {
			return false
		}
	}
	return len(past) > 0
}
