package scaling

// maxCohorts bounds the cohorts of a pool; its functions share them, with at least 8 each.
const maxCohorts = 100

// Cohort is N queued jobs that arrived at the time At.
type Cohort struct {
	At, N float64
}

// arrive adds n jobs that arrived around the time at, and makes the cohorts add up to the queue.
// Jobs start in the order of their arrival, so the oldest cohorts lose what the queue has lost;
// what it has beyond all known arrivals (requeued by a worker that died, say) counts as new.
func (f *Function) arrive(at, n, queued, target float64, limit int) {
	c := f.Cohorts
	if queued <= 0 {
		if cap(c) > 16 {
			f.Cohorts = nil
		} else {
			f.Cohorts = c[:0]
		}
		return
	}
	sum := 0.
	for i := range c {
		sum += c[i].N
	}
	n = max(n, queued-sum)
	excess := sum + n - queued
	drop := 0
	for drop < len(c) && c[drop].N <= excess {
		excess -= c[drop].N
		drop++
	}
	if drop > 0 {
		c = c[:copy(c, c[drop:])]
	}
	if len(c) > 0 && excess > 0 {
		c[0].N -= excess
		excess = 0
	}
	if n = min(n-excess, queued); n > 0 {
		if len(c) >= limit {
			c = c[:coarsen(c, at, target)]
		}
		c = append(c, Cohort{at, n})
	}
	f.Cohorts = c
}

// coarsen merges two neighboring cohorts, and returns the new number. If the two oldest are late
// already, those: it makes no difference any more. Otherwise it picks the pair that is closest
// together relative to its age. The merged cohort has the older one's time.
func coarsen(c []Cohort, now, target float64) int {
	best, bestGap := 0, 2.
	if now-c[1].At < target {
		for i := 0; i+1 < len(c); i++ {
			if gap := (c[i+1].At - c[i].At) / max(now-c[i].At, 1e-9); gap < bestGap {
				best, bestGap = i, gap
			}
		}
	}
	c[best].N += c[best+1].N
	copy(c[best+1:], c[best+2:])
	return len(c) - 1
}

// oldest is the time at which the oldest queued job arrived; ok is false for an empty queue.
func (f *Function) oldest() (at float64, ok bool) {
	if len(f.Cohorts) == 0 {
		return 0, false
	}
	return f.Cohorts[0].At, true
}
