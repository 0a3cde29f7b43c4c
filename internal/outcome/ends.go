package outcome

import (
	"math"
	"net/netip"
	"slices"
)

const (
	// lateTelemetry is the maximum delay of telemetry relative to the job servers' reports, in
	// seconds.
	lateTelemetry = 20
	// settled is the number of seconds after which unreported jobs will no longer be reported.
	settled = 120
	// smoothing is the number of seconds over which the running jobs of a queue are averaged,
	// ratePeriod the same for the rate at which jobs end.
	smoothing  = 30
	ratePeriod = 5
	// heldBack is for how many seconds the end of a job is held back because another report may
	// soon show that end.
	heldBack = 0.5
)

// function is what is known about one function on all job servers.
type function struct {
	name   string
	gone   bool
	at     float64 // of the last sample
	ended  int64   // according to telemetry at that time
	lately float64 // jobs that ended between the last two samples
	rate   float64 // ended jobs per second
	queues []queue // sorted by job server

	// borrowed are jobs that have ended according to the job servers' reports but not yet according
	// to telemetry (older ones, and those since lentAt). reserve is the reverse.
	borrowed [2]float64
	lentAt   float64
	reserve  float64
	newsAt   float64 // when telemetry last reported that a job ended

	// Running jobs that telemetry does not report: in the time before turnedAt, and since then.
	running    float64 // in the last sample
	unreported [2]unreportedJobs
	turnedAt   float64

	started Started // of all queues
}

func (f *function) find(server netip.AddrPort) *queue {
	i, ok := slices.BinarySearchFunc(
		f.queues, server, func(q queue, s netip.AddrPort) int { return q.server.Compare(s) },
	)
	if !ok {
		return nil
	}
	return &f.queues[i]
}

// claim is one queue's share of the jobs that ended.
type claim struct {
	q        *queue
	answered bool
	lost     bool    // the connection was lost since the last report
	must     float64 // ended, since there are fewer jobs
	should   float64 // ended, since fewer jobs are running
	weight   float64
	expect   float64
}

// share divides the jobs that ended since the last sample among the queues. Telemetry counts them
// over all job servers, and not at the same moment as the job servers report. So each queue first
// gets the jobs that its own reports show. Then queues whose job server has not answered get their
// usual share. The rest belongs to jobs that arrived and ended between two polls. It returns the
// starts of jobs that vanished from a queue before telemetry reported their end.
func (f *function) share(in *FunctionQueues, reports []report, at float64) (confirmed Started) {
	left, lately := f.news(in, reports, at)
	claims, weights := f.claims(reports, at)
	if len(claims) == 0 {
		f.reserve += left
		return confirmed
	}
	pool := left + f.reserve
	needs, soft, vanished := 0., 0., 0.
	for i := range claims {
		c := &claims[i]
		if c.answered {
			pool += c.expect // jobs assigned to it before it answered
		}
		c.expect += left * c.weight / weights
		needs += c.must
		soft += c.should
		if c.lost {
			vanished += c.must
		}
	}
	if needs > pool {
		pool += f.borrow(needs-pool-vanished, lately, in.JobSeconds)
	}
	pMust, pool := take(pool, needs)
	pShould, pool := take(pool, soft)
	silent, above := 0., 0.
	for i := range claims {
		c := &claims[i]
		if c.answered {
			c.q.ended = pMust*c.must + pShould*c.should
			c.expect = max(0, c.expect-c.q.ended)
			above += c.expect
		} else {
			silent += c.expect
		}
	}
	confirmed, pool = f.confirm(claims, pool, at)
	pSilent, pool := take(pool, silent)
	f.reserve = 0
	if !f.idle(reports) {
		f.reserve = min(pool, f.rate*heldBack+1+math.Sqrt(silent))
	}
	pool -= f.reserve
	for i := range claims {
		switch c := &claims[i]; {
		case !c.answered:
			c.q.guess(pSilent*silent, c.expect/max(silent, 1e-9))
		case above > 0:
			c.q.guess(pool, c.expect/above)
		default:
			c.q.guess(pool, c.weight/weights)
		}
	}
	return confirmed
}

// guess counts a part of jobs as ended. Nothing shows which queue these jobs belong to.
func (q *queue) guess(jobs, part float64) {
	q.ended += jobs * part
	q.guessed += jobs * part * (1 - part)
}

// idle reports whether all job servers have answered since telemetry last reported an end, and have
// no job. Then no report will show an end that telemetry has counted already.
func (f *function) idle(reports []report) bool {
	return !slices.ContainsFunc(reports, func(r report) bool { return r.total > 0 || r.at <= f.newsAt+heldBack })
}

// confirm takes ended jobs out of the pool for the jobs that have vanished from the queues. It
// returns their starts, and the rest of the pool.
func (f *function) confirm(claims []claim, pool, at float64) (s Started, left float64) {
	for i := range claims {
		d := &claims[i].q.doubt
		switch {
		case d.jobs <= 0:
		case at-d.at > lateTelemetry:
			*d = doubt{}
		default:
			ended := min(pool, d.jobs)
			s = s.Add(d.started.scale(ended / d.jobs))
			d.started = d.started.scale(1 - ended/d.jobs)
			d.jobs -= ended
			pool -= ended
		}
	}
	return s, pool
}

// take takes up to n out of the pool. It returns the part of n that was available, and the rest of
// the pool.
func take(pool, n float64) (part, left float64) {
	if n <= pool {
		return 1, pool - n
	}
	return pool / n, 0
}

// news returns how many jobs ended since the last sample that the job servers' reports have not
// shown before, and how many ended between the two samples before.
func (f *function) news(in *FunctionQueues, reports []report, at float64) (left, lately float64) {
	dt := at - f.at
	left, lately = max(0, float64(in.Ended-f.ended)), f.lately
	if left > 0 {
		f.newsAt = at
	}
	f.ended, f.lately = in.Ended, left
	left += f.foreign(in, reports, at) * dt / max(in.JobSeconds, 1e-3)
	if dt > 0 {
		f.rate += min(1, dt/ratePeriod) * (left/dt - f.rate)
	}
	if at-f.lentAt > settled {
		f.borrowed, f.lentAt = [2]float64{f.borrowed[1], 0}, at
	}
	for i := range f.borrowed {
		paid := min(left, f.borrowed[i])
		f.borrowed[i] -= paid
		left -= paid
	}
	return left, lately
}

// unreportedJobs are the running jobs that telemetry has not reported over a period.
type unreportedJobs struct{ fewest, sum, seconds float64 }

// foreign returns how many jobs other workers run: the mean of the running jobs that telemetry does
// not report, if there were some for a while without a break.
func (f *function) foreign(in *FunctionQueues, reports []report, at float64) float64 {
	running := 0.
	for i := range reports {
		running += reports[i].running
	}
	// A job that has just started is not in telemetry yet.
	fewest := max(0, min(running, f.running)-in.Busy)
	f.running = running
	if at-f.turnedAt > lateTelemetry {
		f.unreported, f.turnedAt = [2]unreportedJobs{f.unreported[1], {fewest: fewest}}, at
	}
	before, now := &f.unreported[0], &f.unreported[1]
	now.fewest = min(now.fewest, fewest)
	now.sum += (running - in.Busy) * (at - f.at)
	now.seconds += at - f.at
	if min(before.fewest, now.fewest) == 0 {
		return 0
	}
	return max(0, (before.sum+now.sum)/max(before.seconds+now.seconds, 1e-9))
}

// claims returns the ended jobs that each queue's own reports show, and the sum of the weights.
func (f *function) claims(reports []report, at float64) (claims []claim, weights float64) {
	claims = make([]claim, 0, len(reports))
	for i := range reports {
		r := &reports[i]
		q := f.find(r.server)
		if q == nil {
			continue
		}
		c := claim{q: q, answered: r.at > q.at}
		if c.answered {
			c.must = max(0, q.total-r.total)
			c.should = max(0, q.running-r.running-c.must)
			q.usual += min(1, (at-f.at)/smoothing) * (r.running - q.usual)
			c.expect = q.ended
			c.lost = r.lostAt > q.at
			q.ended = 0
		}
		c.weight = q.usual + 1e-3
		weights += c.weight
		claims = append(claims, c)
	}
	return claims, weights
}

// borrow counts jobs as ended that telemetry has not reported: it is late, or another worker ran
// them. It counts no more than can have ended.
func (f *function) borrow(n, lately, jobSeconds float64) float64 {
	runs := 0.
	for i := range f.queues {
		runs += f.queues[i].running
	}
	most := runs*(1+lateTelemetry/max(jobSeconds, 0.1)) + lately
	n = max(0, min(n, most-f.borrowed[0]-f.borrowed[1]))
	f.borrowed[1] += n
	return n
}
