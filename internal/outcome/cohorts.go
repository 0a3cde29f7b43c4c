package outcome

import (
	"math"
	"net/netip"
	"slices"
)

// maxCohorts bounds the cohorts of one queue. In a pool with many queues each queue has fewer, so
// that all of them together stay near poolCohorts: the memory for a pool must not depend on how its
// queues change.
const (
	maxCohorts  = 64
	minCohorts  = 4
	poolCohorts = 8192
)

// cohortsOf returns how many cohorts each queue may have in a pool with the given number of queues.
func cohortsOf(queues int) int { return max(minCohorts, min(maxCohorts, poolCohorts/max(1, queues))) }

// cohort is n jobs that arrived after from and until to, evenly spread. They certainly arrived
// after bound. All times in this file are seconds since the first observation.
type cohort struct {
	bound, from, to, n float64
	guessed            float64 // the queue's guessed, at their arrival
	delayed            bool    // they may have become due later than estimated
}

// report is what one job server reported about one function. stuck jobs are not waiting.
type report struct {
	server                            netip.AddrPort
	at, lostAt, total, running, stuck float64
}

func (r *report) waiting() float64 { return max(0, r.total-r.running-r.stuck) }

// queue is one function at one job server: its last report, and the cohorts of the waiting jobs.
type queue struct {
	report
	usual   float64 // running jobs, smoothed
	ended   float64 // jobs that ended since the last report
	guessed float64 // variance of the sum of all ended so far
	gone    bool    // no longer reported
	since   Started // the function's jobs that had started before the last report
	doubt   doubt
	cohorts []cohort
}

// doubt is the jobs that have vanished from a queue: they were dropped, or they ended and telemetry
// is late. started are the starts of the waiting ones among them.
type doubt struct {
	jobs    float64
	started Started
	at      float64 // when the last of them vanished
}

// newQueue starts to follow a queue whose jobs arrived after from. Jobs that are already running
// are not counted.
func newQueue(r *report, from float64, started Started) queue {
	q := queue{report: *r, usual: r.running, since: started}
	if n := r.waiting(); n > 0 {
		from = min(from, r.at)
		q.cohorts = append(q.cohorts, cohort{bound: from, from: from, to: r.at, n: n})
	}
	return q
}

// take processes a job server's new report and returns the jobs that started since the previous
// one. It keeps at most most cohorts. elsewhere is the share of late jobs at the other job servers
// meanwhile.
func (q *queue) take(r *report, target, elsewhere float64, most int) Started {
	before := 0.
	for i := range q.cohorts {
		before += q.cohorts[i].n
	}
	arrived := r.total - q.total + q.ended
	if arrived < 0 {
		// Jobs have vanished and are not known to have ended.
		gone := -arrived
		arrived = 0
		if r.lostAt > q.at {
			before -= q.drop(gone) // lost with the job server's memory
		} else {
			s := q.start(gone, q.at, r.at, target, elsewhere)
			before -= s.Total()
			q.doubt = doubt{q.doubt.jobs + gone, q.doubt.started.Add(s), r.at}
		}
	}
	if more := r.stuck - q.stuck; more > 0 {
		// These jobs turn out to be stuck: they did not arrive, or are not among the waiting ones.
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

// drop removes n jobs from the queue's head without counting them, and returns how many it found.
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

// start removes begun jobs from the queue's head. They started evenly spread between two reports;
// start estimates their waits.
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

// slack is by how many seconds the jobs at the head of the waiting ones may be older or younger
// than estimated. The number of this queue's jobs that ended while they waited is partly a guess,
// and each job too many or too few shifts them by the time between two arrivals.
func (q *queue) slack(head *cohort, waiting, now float64) float64 {
	const deviations = 2
	return deviations * math.Sqrt(max(0, q.guessed-head.guessed)) * max(0, now-head.from) / max(waiting, 1)
}

// lateShare returns the share of a cohort's first n jobs that waited longer than the target. after
// is how many of starts came before them.
func lateShare(c, starts *cohort, after, n, target, elsewhere float64) float64 {
	switch {
	case starts.to-c.bound <= target:
		return 0
	case c.delayed: // they became due at any time between the estimated one and their start
		return 1 - target/(starts.to-c.bound)
	case starts.from-c.to > target:
		return 1
	case c.from >= starts.from: // the job server was silent for that long
		return elsewhere
	}
	return shareLonger(c, starts, after, n, target)
}

// maxPieces is the maximum number of pieces that shareLonger divides the jobs into.
const maxPieces = 16

// shareLonger returns the share of the first n of all arrivals that waited longer than the limit.
// after is how many of starts came before them. A job's position among the arrivals, and among the
// starts, shows approximately when it arrived and started.
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

// spread is the length in seconds of the time in which a job of the cohort may have arrived. The
// k-th of n random times varies as much, on average over k, as a time within this spread.
func (c *cohort) spread() float64 { return (c.to - c.from) * math.Sqrt(2/(max(c.n, 1)+1)) }

// shareAbove returns the probability that the sum of mid and two errors is above the limit. Each
// error is evenly distributed around zero over its spread.
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

// coarsen joins two neighboring cohorts: those that are closest together relative to their age.
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
