package world

import (
	"fmt"
	"slices"
	"time"
)

// Violation is one time at which an invariant did not hold.
type Violation struct {
	Invariant string        `json:"invariant"`
	At        time.Duration `json:"at"`
	Message   string        `json:"message"`
}

// Count is how often an invariant was checked, and how often it could not be checked and why.
type Count struct {
	Checked int            `json:"checked"`
	Excused map[string]int `json:"excused,omitempty"`
}

// Result is the result of running a plan.
type Result struct {
	Seed        uint64           `json:"seed"`
	Virtual     time.Duration    `json:"virtual"`
	Jobs        int              `json:"jobs"`
	Lost        int              `json:"lost"`
	Interrupted int              `json:"interrupted"`
	Faults      []FaultKind      `json:"faults,omitempty"`
	Features    []string         `json:"features,omitempty"`
	MaxPods     int              `json:"maxPods"`
	BusyRemoved int              `json:"busyRemoved"` // pods removed while jobs of their pool ran
	Violations  []Violation      `json:"violations,omitempty"`
	Counts      map[string]Count `json:"counts"`
	Hash        string           `json:"hash"`
	Lines       int              `json:"lines"`

	trace *trace
}

// invariants is the table of the checks at the end of a run. Those with once are checked once or
// twice in a run, so that few checks are enough for them.
var invariants = []struct {
	name  string
	once  bool
	judge func(*judge)
}{
	{"no-loss", false, (*judge).noLoss},
	{"no-interruption", false, (*judge).noInterruption},
	{"bounds", false, (*judge).bounds},
	{"up", false, (*judge).up},
	{"down", false, (*judge).down},
	{"evidence", false, (*judge).evidence},
	{"truth", false, (*judge).truth},
	{"isolation", false, (*judge).isolation},
	{"quiet", false, (*judge).quiet},
	{"rates", false, (*judge).rates},
	{"memory", true, (*judge).memory},
}

// judge checks a finished run.
type judge struct {
	w    *World
	m    *monitor
	name string
	out  *Count
}

func (j *judge) checked() { j.out.Checked++ }

func (j *judge) excuse(cause string) {
	if j.out.Excused == nil {
		j.out.Excused = map[string]int{}
	}
	j.out.Excused[cause]++
}

func (j *judge) violated(at time.Time, format string, args ...any) {
	v := Violation{Invariant: j.name, At: at.Sub(j.w.trace.began), Message: fmt.Sprintf(format, args...)}
	j.w.violations = append(j.w.violations, v)
}

func (w *World) result() *Result {
	r := &Result{
		Seed: w.plan.Seed, Virtual: time.Since(w.trace.began), Jobs: len(w.ledger.jobs), Counts: map[string]Count{},
		trace: w.trace,
	}
	for _, f := range w.plan.Faults {
		r.Faults = append(r.Faults, f.Kind)
	}
	r.Features = w.plan.features()
	for _, in := range invariants {
		var c Count
		in.judge(&judge{w: w, m: w.monitor, name: in.name, out: &c})
		r.Counts[in.name] = c
	}
	r.MaxPods, r.BusyRemoved = w.monitor.most, w.monitor.busy
	for _, v := range w.violations {
		switch v.Invariant {
		case "no-loss":
			r.Lost++
		case "no-interruption":
			r.Interrupted++
		}
	}
	slices.SortStableFunc(w.violations, func(a, b Violation) int { return int(a.At - b.At) })
	r.Violations = w.violations
	r.Hash, r.Lines = w.trace.hash(), len(w.trace.lines)
	return r
}

// Timeline returns the events around the first violation, for people.
func (r *Result) Timeline() string {
	if len(r.Violations) == 0 {
		return ""
	}
	v := r.Violations[0]
	of := r.trace.timeline(
		v.At-3*time.Minute, v.At+20*time.Second, v.Invariant == "no-loss" || v.Invariant == "no-interruption",
	)
	return fmt.Sprintf("seed %d: %s at %s: %s\n%s", r.Seed, v.Invariant, v.At.Round(time.Millisecond), v.Message, of)
}

// Trace returns all events, including single jobs.
func (r *Result) Trace() string { return r.trace.timeline(0, 1<<62, true) }
