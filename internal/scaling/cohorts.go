package scaling

// maxCohorts bounds the cohorts of a pool; its functions share them, with 8 each at least.
const maxCohorts = 100

// Cohort is N queued jobs that arrived at the time At.
type Cohort struct {
	At, N float64
}

// arrive notes n jobs that arrived around the time at, and makes the cohorts add up to the queue.
// Jobs are begun in the order of their arrival, so what the queue has lost went from its old end;
// what it has beyond all known arrivals (given back by a worker that died, say) is counted as new.
func (f *Function) arrive(at, n, queued, patience float64, limit int) {
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
			c = c[:coarsen(c, at, patience)]
		}
		c = append(c, Cohort{at, n})
	}
	f.Cohorts = c
}

// coarsen makes two neighbours one, and returns the new number. Those who are both late already
// differ in nothing any more; else it takes the pair that lies closest together for its age. The
// one that comes out counts as old as the older.
func coarsen(c []Cohort, now, patience float64) int {
	best, bestGap := 0, 2.
	if now-c[1].At < patience {
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
