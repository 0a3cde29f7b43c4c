package outcome

import (
	"slices"

	"github.com/gearman-operator/gearman-operator/internal/telemetry"
)

// Counts are numbers of jobs. Each job is in exactly one of them. Each count is a field here and an
// entry of [Results], which all code that handles all counts uses.
type Counts struct {
	Completed int64
	// Failed are the jobs that failed for good, except those that went to a dead letter function.
	Failed       int64
	DeadLettered int64
	// Requeued are the jobs that workers requeued unfinished.
	Requeued int64
	// Retried are the jobs that failed and were submitted for their next attempt.
	Retried int64
}

// CountsOf returns the counts from a function's telemetry. Its counters include the dead letters in
// the failed jobs, and the retries in the requeued ones.
func CountsOf(t *telemetry.Counters) (c Counts) {
	for i := range Results {
		*Results[i].of(&c) = max(0, Results[i].from(t))
	}
	return c
}

// Sub returns the counts since an earlier state. The result is never negative: counters that
// decreased have been restarted.
func (c Counts) Sub(earlier Counts) (d Counts) {
	for i := range Results {
		r := &Results[i]
		*r.of(&d) = max(0, *r.of(&c)-*r.of(&earlier))
	}
	return d
}

// Add returns the sum.
func (c Counts) Add(d Counts) Counts {
	for i := range Results {
		r := &Results[i]
		*r.of(&c) += *r.of(&d)
	}
	return c
}

// AllFailed returns the number of jobs that failed for good.
func (c Counts) AllFailed() int64 { return c.Failed + c.DeadLettered }

// ended returns the number of jobs that completed or failed for good.
func (c Counts) ended() int64 { return c.Completed + c.AllFailed() }

// FailedShare returns the share of failed jobs among the ended ones, from 0 to 1. It is 0 if none
// ended.
func (c Counts) FailedShare() float64 {
	if ended := c.ended(); ended > 0 {
		return float64(c.AllFailed()) / float64(ended)
	}
	return 0
}

// Result is a kind of count.
type Result struct {
	Name string // in metrics
	of   func(*Counts) *int64
	from func(*telemetry.Counters) int64 // its value in a function's telemetry; a value below 0 means 0
}

// Of returns the count of the result.
func (r *Result) Of(c Counts) int64 { return *r.of(&c) }

// Results are all kinds of counts.
var Results = [...]Result{
	{
		"completed", func(c *Counts) *int64 { return &c.Completed },
		func(t *telemetry.Counters) int64 { return t.OK },
	},
	{
		"failed", func(c *Counts) *int64 { return &c.Failed },
		func(t *telemetry.Counters) int64 { return t.Failed - t.DeadLettered },
	},
	{
		"dead_lettered", func(c *Counts) *int64 { return &c.DeadLettered },
		func(t *telemetry.Counters) int64 { return t.DeadLettered },
	},
	{
		"requeued", func(c *Counts) *int64 { return &c.Requeued },
		func(t *telemetry.Counters) int64 { return t.Requeued - t.Retried },
	},
	{
		"retried", func(c *Counts) *int64 { return &c.Retried },
		func(t *telemetry.Counters) int64 { return t.Retried },
	},
}

const (
	// MaxFunctions is how many functions of a pool have counts of their own; the rest are summed
	// under OtherFunctions.
	MaxFunctions = 10
	// OtherFunctions is the name of that sum. No function has this name: names contain no spaces.
	OtherFunctions = "all other functions"
)

// FunctionCounts are the counts of one function.
type FunctionCounts struct {
	Function string
	Counts
}

// functions follows the counters of a pool's functions. A function's counts never decrease while it
// has a name of its own.
type functions struct {
	known []tally // in the order of their first job
	rest  Counts  // functions without a name of their own
	shown []FunctionCounts
}

// tally is the counts of one function.
type tally struct {
	name  string
	last  Counts // last state of the counters
	total Counts
	named bool // it has counts of its own
}

// observe processes the counters' present state and returns the counts since the previous one. It
// forgets functions that are not in counters.
func (f *functions) observe(counters []FunctionCounts) (sum Counts) {
	known := len(f.known)
	f.known = slices.DeleteFunc(f.known, func(t tally) bool {
		return !slices.ContainsFunc(counters, func(c FunctionCounts) bool { return c.Function == t.name })
	})
	changed := len(f.known) != known
	for i := range counters {
		c := &counters[i]
		t := f.find(c.Function)
		if t == nil {
			if c.Counts == (Counts{}) {
				continue // most functions of a large pool may be idle; they need no memory
			}
			f.known = append(f.known, tally{name: c.Function, named: f.named() < MaxFunctions})
			t = &f.known[len(f.known)-1]
		}
		if c.Counts == t.last {
			continue
		}
		d := c.Sub(t.last)
		if t.last = c.Counts; d == (Counts{}) {
			continue
		}
		changed = true
		sum = sum.Add(d)
		t.total = t.total.Add(d)
		if !t.named {
			f.rest = f.rest.Add(d)
		}
	}
	if changed {
		f.show()
	}
	return sum
}

func (f *functions) find(name string) *tally {
	for i := range f.known {
		if f.known[i].name == name {
			return &f.known[i]
		}
	}
	return nil
}

// named returns how many functions have counts of their own.
func (f *functions) named() (n int) {
	for i := range f.known {
		if f.known[i].named {
			n++
		}
	}
	return n
}

// show builds a new list, since readers may still hold the previous one.
func (f *functions) show() {
	shown := make([]FunctionCounts, 0, min(len(f.known), MaxFunctions)+1)
	for i := range f.known {
		if t := &f.known[i]; t.named {
			shown = append(shown, FunctionCounts{t.name, t.total})
		}
	}
	if f.rest != (Counts{}) {
		shown = append(shown, FunctionCounts{OtherFunctions, f.rest})
	}
	f.shown = shown
}
