package outcome

import (
	"slices"

	"github.com/gearman-operator/gearman-operator/internal/telemetry"
)

// Counts are numbers of jobs. Each job is in one of them. A count is a field here and an entry of
// [Results], which everything that handles all counts goes through.
type Counts struct {
	Completed int64
	// Failed are the jobs that failed for good, without those that went to a dead letter function.
	Failed       int64
	DeadLettered int64
	// Requeued are the jobs that workers returned unfinished.
	Requeued int64
	// Retried are the jobs that failed and were submitted for their next attempt.
	Retried int64
}

// CountsOf are the counts by the telemetry of a function. Its counters count the dead letters among
// the failed jobs and the retries among the requeued ones.
func CountsOf(t *telemetry.Counters) (c Counts) {
	for i := range Results {
		*Results[i].of(&c) = max(0, Results[i].from(t))
	}
	return c
}

// Sub returns what was counted since an earlier state. It is never negative: counters that went
// back have started anew.
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

// AllFailed are the jobs that failed for good.
func (c Counts) AllFailed() int64 { return c.Failed + c.DeadLettered }

// ended are the jobs that completed or failed for good.
func (c Counts) ended() int64 { return c.Completed + c.AllFailed() }

// FailedShare is the share of failed jobs among those that ended, from 0 to 1. It is 0 if none
// ended.
func (c Counts) FailedShare() float64 {
	if ended := c.ended(); ended > 0 {
		return float64(c.AllFailed()) / float64(ended)
	}
	return 0
}

// Result is a kind of count.
type Result struct {
	Name string // that metrics give it
	of   func(*Counts) *int64
	from func(*telemetry.Counters) int64 // what it is by a function's telemetry; below 0 stands for 0
}

// Of is the count of the result.
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
	// OtherFunctions is the name of that sum. No function has it: their names contain no spaces.
	OtherFunctions = "all other functions"
)

// FunctionCounts are the counts of one function.
type FunctionCounts struct {
	Function string
	Counts
}

// functions follows the counters of a pool's functions. Its counts never go back while a function
// has a name of its own.
type functions struct {
	known []tally // in the order of their first job
	rest  Counts  // of those without a name of their own
	shown []FunctionCounts
}

// tally is what was counted of one function.
type tally struct {
	name  string
	last  Counts // the counters' last state
	total Counts
	named bool // it has counts of its own
}

// observe takes the counters' present state and returns what was counted since the last one.
// Functions that are not in it are forgotten.
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

// named is how many functions have counts of their own.
func (f *functions) named() (n int) {
	for i := range f.known {
		if f.known[i].named {
			n++
		}
	}
	return n
}

// show makes the list anew, since readers may still hold the one before.
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
