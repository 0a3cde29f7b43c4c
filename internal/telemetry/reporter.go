package telemetry

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Reporter counts the jobs of one process and creates its IDs. It is safe for concurrent use.
//
// An ID has room for one function. A process that serves several reports them in turn, in random
// order: with a fixed one, a poller with a multiple of the interval would see the same function
// each time. Functions with news come first.
type Reporter struct {
	uid      UID
	pod      []byte
	capacity int

	mu        sync.Mutex
	start     int64 // start of the counters, ms since 1970
	functions []*functionCount
	byName    map[string]*functionCount
	busy      int
}

type functionCount struct {
	hash    uint32
	ended   Counters // of ended jobs only
	running int64    // jobs
	starts  int64    // sum of the running jobs' starts, ms since 1970
	changed bool     // since it was last reported
	trouble byte
}

// NewReporter returns the reporter of a process that started at start in the pod of that UID and
// name, has capacity slots and serves these functions.
func NewReporter(podUID, podName string, start time.Time, capacity int, functions []string) (*Reporter, error) {
	uid, err := ParseUID(podUID)
	if err != nil {
		return nil, err
	}
	if capacity < 1 || capacity > MaxSlots {
		return nil, fmt.Errorf("telemetry: capacity %d: must be 1 to %d", capacity, MaxSlots)
	}
	if len(functions) == 0 {
		return nil, fmt.Errorf("telemetry: a worker serves at least one function")
	}
	r := &Reporter{
		uid: uid, pod: []byte(podName), capacity: capacity, start: start.UnixMilli(),
		byName: make(map[string]*functionCount),
	}
	for _, name := range functions {
		if r.byName[name] != nil {
			continue
		}
		f := &functionCount{hash: FunctionHash(name), changed: true}
		r.functions = append(r.functions, f)
		r.byName[name] = f
	}
	return r, nil
}

// Start counts a job of the function as running from now on. It panics on a function that was not
// passed to NewReporter.
func (r *Reporter) Start(function string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.function(function)
	f.running++
	f.starts += max(now.UnixMilli(), r.start)
	f.changed = true
	r.busy++
}

// End counts a job as ended now. started must be the time passed to [Reporter.Start] for it.
func (r *Reporter) End(function string, started, now time.Time, outcome Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.function(function)
	// A job that started before the counters were reset counts from the reset on.
	began := max(started.UnixMilli(), r.start)
	spent := max(0, now.UnixMilli()-began)
	f.running--
	f.starts -= began
	f.ended.count(outcome, spent)
	f.changed = true
	r.busy--
}

// SetTrouble sets why jobs of the function don't run, as one of the Trouble letters; 0: they do. It
// panics on a function that was not passed to NewReporter.
func (r *Reporter) SetTrouble(function string, letter byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.function(function)
	f.trouble, f.changed = letter, true
}

func (r *Reporter) function(name string) *functionCount {
	f := r.byName[name]
	if f == nil {
		panic(fmt.Sprintf("telemetry: function %q was not given to NewReporter", name))
	}
	return f
}

// Busy is the number of jobs that run.
func (r *Reporter) Busy() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.busy
}

// Next returns the ID to set now, on one connection to each job server. The next ID may be about
// another function. changed reports whether another function has news that no ID has reported yet:
// a worker that stops sets further IDs until there is none.
func (r *Reporter) Next(now time.Time) (id string, changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ms := now.UnixMilli()
	for _, f := range r.functions {
		if rep := r.report(f, ms); rep.Counters.tooLarge() || !rep.fits() {
			r.restart(ms)
			break
		}
	}
	f := r.functions[rand.IntN(len(r.functions))] //nolint:gosec // a fair choice, no secret
	news := 0
	for _, g := range r.functions {
		if g.changed || g.running > 0 {
			// Each of those with news is as likely as the others.
			if news++; rand.IntN(news) == 0 { //nolint:gosec // a fair choice, no secret
				f = g
			}
		}
	}
	f.changed = false
	for _, g := range r.functions {
		changed = changed || g.changed
	}
	return string(r.report(f, ms).Append(make([]byte, 0, MaxLen))), changed
}

// report is the content of an ID about a function.
func (r *Reporter) report(f *functionCount, ms int64) Report {
	return Report{
		UID: r.uid, Start: r.start, Full: true, Busy: min(r.busy, r.capacity), Capacity: r.capacity,
		HasFunction: true, Function: f.hash, Counters: f.counters(ms), Trouble: f.trouble, Pod: r.pod,
	}
}

// Turns reports whether IDs are about several functions in turn, and whether jobs of one of them
// don't run.
func (r *Reporter) Turns() (several, trouble bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.functions) > 1, slices.ContainsFunc(r.functions, func(f *functionCount) bool { return f.trouble != 0 })
}

// Brief returns the ID of the pod's other connections: its identity, without figures.
func (r *Reporter) Brief() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return string(Report{UID: r.uid, Start: r.start}.Append(nil))
}

// counters are the function's figures at ms, its running jobs included.
func (f *functionCount) counters(ms int64) Counters {
	c := f.ended
	c.BusyMillis += max(0, f.running*ms-f.starts)
	return c
}

// restart resets the counters like a restart of the process: readers take the newest start, so a
// counter that has reached its bound isn't stuck there.
func (r *Reporter) restart(ms int64) {
	r.start = max(r.start+1, ms)
	for _, f := range r.functions {
		f.ended = Counters{}
		f.starts = f.running * r.start
		f.changed = true
	}
}
