package outcome

import (
	"net/netip"
	"slices"
	"time"
)

// Started are numbers of started jobs, by their wait.
type Started struct {
	// InTime jobs waited no longer than the target, Late jobs longer, by the best estimate.
	InTime, Late float64
	// LateMin and LateMax bound Late. Polls see neither the arrival nor the start of a job, only
	// how many there were between two polls, and telemetry doesn't report which job server's jobs
	// ended. The bounds hold if a job server assigns the jobs of a function in the order of their
	// arrival.
	LateMin, LateMax float64
}

// Add returns the sum.
func (s Started) Add(o Started) Started {
	return Started{
		InTime: s.InTime + o.InTime, Late: s.Late + o.Late,
		LateMin: s.LateMin + o.LateMin, LateMax: s.LateMax + o.LateMax,
	}
}

// Sub returns the numbers since an earlier state of the same counts.
func (s Started) Sub(earlier Started) Started {
	return Started{
		InTime: s.InTime - earlier.InTime, Late: s.Late - earlier.Late,
		LateMin: s.LateMin - earlier.LateMin, LateMax: s.LateMax - earlier.LateMax,
	}
}

// scale returns the numbers multiplied by part.
func (s Started) scale(part float64) Started {
	return Started{
		InTime: s.InTime * part, Late: s.Late * part, LateMin: s.LateMin * part, LateMax: s.LateMax * part,
	}
}

// Total returns the number of jobs that started.
func (s Started) Total() float64 { return s.InTime + s.Late }

// LateShare returns the share of late jobs among the started ones, from 0 to 1. It is 0 if none
// started.
func (s Started) LateShare() float64 {
	if total := s.Total(); total > 0 {
		return s.Late / total
	}
	return 0
}

// Queue is what one job server last reported about one function.
type Queue struct {
	Server         netip.AddrPort
	AsOf           time.Time // time of the report
	Total, Running int64     // jobs queued or running, and running
	// LostAt is when the connection was last lost, zero if never. Jobs that are missing after a
	// loss may be lost, and did not end.
	LostAt time.Time
}

// FunctionQueues are the queues of one function.
type FunctionQueues struct {
	Name string
	// Ended is how many jobs have completed or failed on all job servers together, by telemetry.
	Ended int64
	// Busy is how many jobs are running, by telemetry, JobSeconds the mean time of a job.
	Busy, JobSeconds float64
	// Stuck is how many queued jobs cannot start yet, such as delayed jobs that are not due. They
	// are not waiting.
	Stuck  int64
	Queues []Queue
}

// Waits estimates how many jobs start in time and how many late. It follows each queue with
// cohorts: jobs that arrived between two polls. The number of arrivals is the change in a queue's
// jobs plus the number that ended (from telemetry). The number of starts is how much shorter the
// queue is than with these arrivals. The oldest jobs start first. The zero value is ready to use.
type Waits struct {
	epoch     time.Time
	last      float64 // time of the last observation
	started   Started
	functions []function
}

// startup is by how many seconds a queue may be older than its first report.
const startup = 60

// Started returns the numbers since the first observation. They never decrease.
func (w *Waits) Started() Started { return w.started }

// Observe processes the job servers' last reports. oldest is the maximum time for which jobs may
// have waited that are queued when a job server first reports.
func (w *Waits) Observe(now time.Time, target, oldest time.Duration, functions []FunctionQueues) {
	if w.epoch.IsZero() {
		w.epoch = now
	}
	at := max(w.last, now.Sub(w.epoch).Seconds())
	for i := range w.functions {
		w.functions[i].gone = true
	}
	queues := 0
	for i := range functions {
		queues += len(functions[i].Queues)
	}
	for i := range functions {
		w.observe(&functions[i], at, target.Seconds(), oldest.Seconds(), cohortsOf(queues))
	}
	w.functions = slices.DeleteFunc(w.functions, func(f function) bool { return f.gone })
	w.last = at
}

func (w *Waits) observe(in *FunctionQueues, at, target, oldest float64, cohorts int) {
	i := slices.IndexFunc(w.functions, func(f function) bool { return f.name == in.Name })
	if i < 0 {
		i = len(w.functions)
		w.functions = append(w.functions, function{name: in.Name, ended: in.Ended, at: at})
	}
	f := &w.functions[i]
	f.gone = false
	for k := range f.queues {
		f.queues[k].gone = true
	}
	reports, before := w.reports(in), f.started
	f.started = f.started.Add(f.share(in, reports, at))
	var added []queue
	for k := range reports {
		r := &reports[k]
		switch q := f.find(r.server); {
		case q == nil && at <= startup:
			added = append(added, newQueue(r, r.at-oldest, f.started))
		case q == nil:
			added = append(added, newQueue(r, w.last, f.started))
		default:
			q.gone = false
			if r.at > q.at {
				f.started = f.started.Add(q.take(r, target, f.started.Sub(q.since).LateShare(), cohorts))
				q.since = f.started
			}
		}
	}
	f.queues = slices.DeleteFunc(f.queues, func(q queue) bool { return q.gone })
	if len(added) > 0 {
		f.queues = append(f.queues, added...)
		slices.SortFunc(f.queues, func(a, b queue) int { return a.server.Compare(b.server) })
	}
	w.started = w.started.Add(f.started.Sub(before))
	f.at = at
}

// reports returns the job servers' reports about a function, one for each, sorted by job server.
// There may be hundreds, and job servers determine how often this runs: nothing here takes more
// than n log n.
func (w *Waits) reports(in *FunctionQueues) []report {
	queued := int64(0)
	for k := range in.Queues {
		queued += in.Queues[k].queued()
	}
	reports := make([]report, 0, len(in.Queues))
	for k := range in.Queues {
		q := &in.Queues[k]
		if !q.Server.IsValid() || q.AsOf.IsZero() {
			continue
		}
		r := report{
			server: q.Server, at: q.AsOf.Sub(w.epoch).Seconds(), lostAt: q.LostAt.Sub(w.epoch).Seconds(),
			total: float64(max(0, q.Total)), running: float64(max(0, min(q.Running, q.Total))),
		}
		if queued > 0 {
			r.stuck = float64(in.Stuck) * float64(q.queued()) / float64(queued)
		}
		reports = append(reports, r)
	}
	slices.SortStableFunc(reports, func(a, b report) int { return a.server.Compare(b.server) })
	return slices.CompactFunc(reports, func(a, b report) bool { return a.server == b.server }) // the first of each
}

func (q *Queue) queued() int64 { return max(0, q.Total-max(0, q.Running)) }
