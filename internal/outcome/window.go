package outcome

import "time"

const (
	// buckets of bucketWidth make an hour. The hour that Window reports is up to one bucket too
	// short.
	buckets     = 12
	bucketWidth = 5 * time.Minute

	// failedMin is how many jobs must have failed lately before JobsFailing is reported: a single
	// bad job is no trend.
	failedMin = 5
	// failingShare is the share of failed jobs from which on they count as failing, and calmShare
	// the share below which they no longer do. The gap keeps the report from flapping.
	failingShare = 0.5
	calmShare    = 0.25
	// usualFactor is how many times its usual share a pool must exceed: some functions fail by
	// design, such as checks.
	usualFactor = 3
	// usualMin is how many jobs of the past hour make its share usual.
	usualMin = 50
)

// Window is what became of a pool's jobs in the last hour. The zero value is ready to use.
type Window struct {
	started bool
	last    Counts // the counters' last state
	total   Counts // since the window was started; it never goes back
	slots   [buckets]Counts
	current int64 // number of the newest bucket since 1970
	failing bool
	starts  *starts // nil until a job has started

	functions functions
}

// starts are the jobs that started, as Window keeps its counts.
type starts struct {
	total Started
	slots [buckets]Started
}

// ObserveFunctions takes the present state of the counters of each function. They all began at zero
// with the window.
func (w *Window) ObserveFunctions(now time.Time, counters []FunctionCounts) {
	if !w.started {
		w.Observe(now, Counts{})
	}
	w.Observe(now, w.total.Add(w.functions.observe(counters)))
}

// Functions are the counts of each function since the window was started, of those in which a job
// has ended, in the order of their first one. The slice is never changed.
func (w *Window) Functions() []FunctionCounts { return w.functions.shown }

// Observe takes the counters' present state. What they showed at first was counted before the
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

// advance empties the buckets that have become older than an hour.
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
		w.failing = false // nothing has run lately
	case w.failing:
		w.failing = share >= calmShare
	default:
		limit := failingShare
		if usual.ended() >= usualMin {
			limit = min(max(limit, usualFactor*usual.FailedShare()), 1)
			// A pool most of whose jobs always fail is as usual.
			if usual.FailedShare() >= failingShare {
				return
			}
		}
		w.failing = recent.AllFailed() >= failedMin && share >= limit
	}
}

// recent counts the last five to ten minutes.
func (w *Window) recent() Counts {
	return w.slots[w.current%buckets].Add(w.slots[(w.current+buckets-1)%buckets])
}

// usual counts the rest of the hour.
func (w *Window) usual() Counts {
	var sum Counts
	for i := int64(2); i < buckets; i++ {
		sum = sum.Add(w.slots[(w.current+buckets-i)%buckets])
	}
	return sum
}

// Total is what was counted since the window was started. It never goes back.
func (w *Window) Total() Counts { return w.total }

// ObserveStarted takes the present state of what Waits counts.
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

// StartedLastHour are the jobs that started in the last 55 to 60 minutes.
func (w *Window) StartedLastHour() (sum Started) {
	if w.starts != nil {
		for _, s := range w.starts.slots {
			sum = sum.Add(s)
		}
	}
	return sum
}

// StartedTotal are the jobs that started since the window was started.
func (w *Window) StartedTotal() Started {
	if w.starts == nil {
		return Started{}
	}
	return w.starts.total
}

// LastHour is what was counted in the last 55 to 60 minutes.
func (w *Window) LastHour() Counts { return w.recent().Add(w.usual()) }

// Failing reports whether jobs fail: at least half of those that ended in the last minutes, five or
// more, and more than usual for this pool. It stays until less than a quarter fail, or none has
// ended for ten minutes.
func (w *Window) Failing() bool { return w.failing }
