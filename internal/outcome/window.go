package outcome

import "time"

const (
	// buckets of bucketWidth make an hour. The hour that Window reports is up to one bucket too
	// short.
	buckets     = 12
	bucketWidth = 5 * time.Minute

	// failedMin is how many jobs must have failed recently before JobsFailing is reported: a single
	// failed job is no trend.
	failedMin = 5
	// failingShare is the share of failed jobs from which on jobs count as failing, and calmShare
	// the share below which they no longer do. The gap keeps the report from flapping.
	failingShare = 0.5
	calmShare    = 0.25
	// usualFactor is how many times its usual share of failed jobs a pool must exceed: some
	// functions, such as checks, fail by design.
	usualFactor = 3
	// usualMin is how many jobs of the past hour make their share of failed jobs the usual share.
	usualMin = 50
)

// Window is the outcomes of a pool's jobs in the last hour. The zero value is ready to use.
type Window struct {
	started bool
	last    Counts // last state of the counters
	total   Counts // since the window was started; it never decreases
	slots   [buckets]Counts
	current int64 // number of the newest bucket since 1970
	failing bool
	starts  *starts // nil until a job has started

	functions functions
}

// starts are the jobs that started, stored like Window's counts.
type starts struct {
	total Started
	slots [buckets]Started
}

// ObserveFunctions processes the present state of the counters of each function. All of them began
// at zero when the window was started.
func (w *Window) ObserveFunctions(now time.Time, counters []FunctionCounts) {
	if !w.started {
		w.Observe(now, Counts{})
	}
	w.Observe(now, w.total.Add(w.functions.observe(counters)))
}

// Functions returns the counts of each function since the window was started, for functions in
// which a job has ended, in the order of their first job. The slice is never changed.
func (w *Window) Functions() []FunctionCounts { return w.functions.shown }

// Observe processes the counters' present state. Jobs in the first state were counted before the
// window was started.
func (w *Window) Observe(now time.Time, counters Counts) {
	w.advance(now)
	if !w.started {
		w.started, w.last = true, counters
		return
	}
	d := counters.Sub(w.last)
	w.last = counters
	w.total = w.total.Add(d)
	at := &w.slots[w.current%buckets]
	*at = at.Add(d)
	w.judge()
}

// advance clears the buckets that have become older than an hour.
func (w *Window) advance(now time.Time) {
	n := now.UnixNano() / int64(bucketWidth)
	if n <= w.current {
		return // also if the clock was set back
	}
	for i := max(w.current+1, n-buckets+1); i <= n; i++ {
		w.slots[i%buckets] = Counts{}
		if w.starts != nil {
			w.starts.slots[i%buckets] = Started{}
		}
	}
	w.current = n
}

// judge decides whether jobs fail more than usual.
func (w *Window) judge() {
	recent, usual := w.recent(), w.usual()
	share := recent.FailedShare()
	switch {
	case recent.ended() == 0:
		w.failing = false // nothing has run recently
	case w.failing:
		w.failing = share >= calmShare
	default:
		limit := failingShare
		if usual.ended() >= usualMin {
			limit = min(max(limit, usualFactor*usual.FailedShare()), 1)
			// For a pool most of whose jobs always fail, this is normal.
			if usual.FailedShare() >= failingShare {
				return
			}
		}
		w.failing = recent.AllFailed() >= failedMin && share >= limit
	}
}

// recent returns the counts of the last five to ten minutes.
func (w *Window) recent() Counts {
	return w.slots[w.current%buckets].Add(w.slots[(w.current+buckets-1)%buckets])
}

// usual returns the counts of the rest of the hour.
func (w *Window) usual() Counts {
	var sum Counts
	for i := int64(2); i < buckets; i++ {
		sum = sum.Add(w.slots[(w.current+buckets-i)%buckets])
	}
	return sum
}

// Total returns the counts since the window was started. It never decreases.
func (w *Window) Total() Counts { return w.total }

// ObserveStarted processes the present state of Waits' counts.
func (w *Window) ObserveStarted(now time.Time, total Started) {
	if w.starts == nil {
		if total == (Started{}) {
			return
		}
		w.starts = &starts{}
	}
	w.advance(now)
	s := w.starts
	at := &s.slots[w.current%buckets]
	*at = at.Add(total.Sub(s.total))
	s.total = total
}

// StartedLastHour returns the jobs that started in the last 55 to 60 minutes.
func (w *Window) StartedLastHour() (sum Started) {
	if w.starts != nil {
		for _, s := range w.starts.slots {
			sum = sum.Add(s)
		}
	}
	return sum
}

// StartedTotal returns the jobs that started since the window was started.
func (w *Window) StartedTotal() Started {
	if w.starts == nil {
		return Started{}
	}
	return w.starts.total
}

// LastHour returns the counts of the last 55 to 60 minutes.
func (w *Window) LastHour() Counts { return w.recent().Add(w.usual()) }

// Failing reports whether jobs are failing: at least half of those that ended in the last minutes,
// five or more, and more than usual for this pool. It stays true until less than a quarter fail, or
// none has ended for ten minutes.
func (w *Window) Failing() bool { return w.failing }
