package outcome

import (
	"net/netip"
	"slices"
)

// maxCohorts bounds the cohorts of one queue. Of a pool with many queues each has fewer, so that
// all of them together stay near poolCohorts: what is kept of a pool must not depend on how job
// servers let its queues change.
const (
	maxCohorts  = 64
	minCohorts  = 4
	poolCohorts = 8192
)

// cohortsOf is how many cohorts each of so many queues of a pool may have.
func cohortsOf(queues int) int { return max(minCohorts, min(maxCohorts, poolCohorts/max(1, queues))) }

// cohort is n jobs that arrived after from and until to, evenly spread; after bound for certain.
// All times in this file are seconds since the first observation.
type cohort struct{ bound, from, to, n float64 }

// report is what one job server reported of one function. stuck jobs do not wait.
type report struct {
	server                            netip.AddrPort
	at, lostAt, total, running, stuck float64
}

func (r *report) waiting() float64 { return max(0, r.total-r.running-r.stuck) }

// queue is one function at one job server: its last report, and the cohorts of the jobs that wait.
type queue struct {
	report
	usual   float64 // running jobs, smoothed
	ended   float64 // jobs that ended since the last report
	gone    bool    // not reported any more
	doubt   doubt
	cohorts []cohort
}

// doubt are jobs that have vanished from a queue: somebody dropped them, or they ended and telemetry
// is late. started are the starts of those that waited.
type doubt struct {
	jobs    float64
	started Started
	at      float64 // when the last of them vanished
}

// newQueue starts to follow a queue whose jobs arrived after from. What runs already is not
// counted.
func newQueue(r *report, from float64) queue {
	q := queue{report: *r, usual: r.running}
	if n := r.waiting(); n > 0 {
		q.cohorts = append(q.cohorts, cohort{min(from, r.at), min(from, r.at), r.at, n})
	}
	return q
}

// take takes a server's new report and returns what started since the one before. No more than most
// cohorts are kept.
func (q *queue) take(r *report, target float64, most int) Started {
	before := 0.
	for i := range q.cohorts {
		before += q.cohorts[i].n
	}
	arrived := r.total - q.total + q.ended
	if arrived < 0 {
		// Jobs have vanished that did not end as far as is known.
		gone := -arrived
		arrived = 0
		if r.lostAt > q.at {
			before -= q.drop(gone) // with the job server's memory
		} else {
			s := q.start(gone, q.at, r.at, target)
			before -= s.Total()
			q.doubt = doubt{q.doubt.jobs + gone, q.doubt.started.Add(s), r.at}
		}
	}
	if more := r.stuck - q.stuck; more > 0 {
		// Jobs that turn out to be stuck did not arrive, or are none of those that wait.
		dropped := q.drop(more)
		before -= dropped
		arrived -= min(arrived, more-dropped)
	} else {
		arrived -= more // their time has come
	}
	from := q.at
	q.cohorts = append(q.cohorts, cohort{from, from, r.at, arrived})
	s := q.start(before+arrived-r.waiting(), from, r.at, target)
	for len(q.cohorts) > most {
		q.coarsen(r.at)
	}
	if r.waiting() == 0 {
		q.cohorts = nil
	}
	q.report, q.ended = *r, 0
	return s
}

// drop takes n jobs out of the queue's head without counting them, and returns how many it found.
func (q *queue) drop(n float64) (dropped float64) {
	for len(q.cohorts) > 0 && dropped < n {
		c := &q.cohorts[0]
		take := min(c.n, n-dropped)
		dropped += take
		if c.n -= take; c.n > 0 {
			break
		}
		q.cohorts = q.cohorts[1:]
	}
	return dropped
}

// start takes begun jobs from the queue's head, which started evenly spread between two reports,
// and judges their waits.
func (q *queue) start(begun, from, to, target float64) (s Started) {
	done := 0.
	for len(q.cohorts) > 0 && begun-done > 1e-9 {
		c := &q.cohorts[0]
		if n := min(c.n, begun-done); n > 0 {
			arrived := c.from + (c.to-c.from)*n/c.n // of the last of the n
			first, last := from+(to-from)*done/begun, from+(to-from)*(done+n)/begun
			late := n * shareAbove(max(0, first-c.from), max(0, last-arrived), target)
			s.Late += late
			s.InTime += n - late
			if from-c.to > target {
				s.LateMin += n
			}
			if to-c.bound > target {
				s.LateMax += n
			}
			c.from = arrived
			c.n -= n
			done += n
		}
		if c.n > 1e-9 {
			break
		}
		q.cohorts = q.cohorts[1:]
	}
	return s
}

// shareAbove is the share of a line from a to b that lies above the limit.
func shareAbove(a, b, limit float64) float64 {
	lo, hi := min(a, b), max(a, b)
	switch {
	case lo > limit:
		return 1
	case hi <= limit:
		return 0
	}
	return (hi - limit) / (hi - lo)
}

// coarsen joins two neighboring cohorts: those that lie closest together for their age.
func (q *queue) coarsen(now float64) {
	c := q.cohorts
	best, bestGap := 0, 0.
	for i := 0; i+1 < len(c); i++ {
		gap := (c[i+1].to - c[i].from) / max(now-c[i].from, 1e-9)
		if i == 0 || gap < bestGap {
			best, bestGap = i, gap
		}
	}
	c[best].to = c[best+1].to
	c[best].n += c[best+1].n
	q.cohorts = slices.Delete(c, best+1, best+2)
}
