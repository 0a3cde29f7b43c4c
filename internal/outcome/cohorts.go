package outcome

import (
	"math"
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
type cohort struct {
	bound, from, to, n float64
	guessed            float64 // the queue's, at their arrival
	delayed            bool    // they may have become due later than they seem to
}

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
	guessed float64 // variance of the sum of all ended so far
	gone    bool    // not reported any more
	since   Started // the function's jobs that had started before the last report
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
func newQueue(r *report, from float64, started Started) queue {
	q := queue{report: *r, usual: r.running, since: started}
	if n := r.waiting(); n > 0 {
		from = min(from, r.at)
		q.cohorts = append(q.cohorts, cohort{bound: from, from: from, to: r.at, n: n})
	}
	return q
}

// take takes a server's new report and returns what started since the one before. No more than most
// cohorts are kept. elsewhere is the share of late jobs at the other job servers meanwhile.
func (q *queue) take(r *report, target, elsewhere float64, most int) Started {
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
			s := q.start(gone, q.at, r.at, target, elsewhere)
			before -= s.Total()
			q.doubt = doubt{q.doubt.jobs + gone, q.doubt.started.Add(s), r.at}
		}
	}
	if more := r.stuck - q.stuck; more > 0 {
		// Jobs that turn out to be stuck did not arrive, or are none of those that wait.
		dropped := q.drop(more)
		before -= dropped
		arrived -= min(arrived, more-dropped)
	}
	from := q.at
	if come := q.stuck - r.stuck; come > 0 {
		// They are due now, or no slot is free, so that nothing shows that they are not.
		q.arrive(cohort{from: from, to: r.at, n: come, delayed: true})
		before += come
	}
	q.arrive(cohort{from: from, to: r.at, n: arrived})
	s := q.start(before+arrived-r.waiting(), from, r.at, target, elsewhere)
	for len(q.cohorts) > most {
		q.coarsen(r.at)
	}
	if r.waiting() == 0 {
		q.cohorts = nil
	}
	q.report, q.ended = *r, 0
	return s
}

// arrive adds a cohort to the queue.
func (q *queue) arrive(c cohort) {
	c.bound, c.guessed = c.from, q.guessed
	q.cohorts = append(q.cohorts, c)
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
func (q *queue) start(begun, from, to, target, elsewhere float64) (s Started) {
	starts := cohort{from: from, to: to, n: begun}
	done, waiting := 0., 0.
	for i := range q.cohorts {
		waiting += q.cohorts[i].n
	}
	for len(q.cohorts) > 0 && begun-done > 1e-9 {
		c := &q.cohorts[0]
		if n := min(c.n, begun-done); n > 0 {
			share, slack := lateShare(c, &starts, done, n, target, elsewhere), q.slack(c, waiting, from)
			s.Late += n * share
			s.InTime += n - n*share
			if from-c.to > target+slack && !c.delayed {
				s.LateMin += n
			}
			if to-c.bound > target-slack {
				s.LateMax += n
			}
			c.from += (c.to - c.from) * n / c.n // after the last of the n
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

// slack is by how many seconds jobs at the head of so many waiting ones may be older or younger
// than they seem. How many jobs of this queue ended while they waited is partly a guess, and each
// job too many or too few shifts them by the time between two arrivals.
func (q *queue) slack(head *cohort, waiting, now float64) float64 {
	const deviations = 2
	return deviations * math.Sqrt(max(0, q.guessed-head.guessed)) * max(0, now-head.from) / max(waiting, 1)
}

// lateShare returns which share of a cohort's first n jobs waited longer than the target. after is
// how many of starts came before them.
func lateShare(c, starts *cohort, after, n, target, elsewhere float64) float64 {
	switch {
	case starts.to-c.bound <= target:
		return 0
	case c.delayed: // until any time between the one at which they seemed to be due and their start
		return 1 - target/(starts.to-c.bound)
	case starts.from-c.to > target:
		return 1
	case c.from >= starts.from: // the job server was silent for so long
		return elsewhere
	}
	return shareLonger(c, starts, after, n, target)
}

// maxPieces is into how many pieces shareLonger divides its jobs at most.
const maxPieces = 16

// shareLonger returns which share of the first n of all arrivals waited longer than the limit.
// after is how many of starts came before them. A job's place among the arrivals, and among the
// starts, shows about when it arrived and started.
func shareLonger(arrivals, starts *cohort, after, n, limit float64) (share float64) {
	pieces := min(math.Ceil(n), maxPieces)
	size := n / pieces
	eachArrival, eachStart := (arrivals.to-arrivals.from)/arrivals.n, (starts.to-starts.from)/starts.n
	spread := math.Hypot(arrivals.spread(), max(0, size-1)*math.Abs(eachStart-eachArrival))
	for i := range int(pieces) {
		place := size * (float64(i) + 0.5)
		wait := starts.from + eachStart*(after+place) - arrivals.from - eachArrival*place
		share += shareAbove(limit, wait, spread, starts.spread()) / pieces
	}
	return share
}

// spread is how many seconds apart the times are at which one job of the cohort may have arrived.
// The k-th of n random times varies as much, on average over k, as a time within this spread.
func (c *cohort) spread() float64 { return (c.to - c.from) * math.Sqrt(2/(max(c.n, 1)+1)) }

// shareAbove is how likely a value is above the limit that is the sum of mid and two errors, each
// evenly distributed around zero over its spread.
func shareAbove(limit, mid, spread1, spread2 float64) float64 {
	wide, narrow := max(spread1, spread2), min(spread1, spread2)
	above, outer, inner := mid-limit, (wide+narrow)/2, (wide-narrow)/2
	switch {
	case above <= -outer:
		return 0
	case above >= outer:
		return 1
	case above > inner:
		return 1 - (outer-above)*(outer-above)/(2*wide*narrow)
	case above < -inner:
		return (outer + above) * (outer + above) / (2 * wide * narrow)
	}
	return 0.5 + above/wide
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
	c[best].delayed = c[best].delayed || c[best+1].delayed
	q.cohorts = slices.Delete(c, best+1, best+2)
}
