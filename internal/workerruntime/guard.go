package workerruntime

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime/breaker"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
)

const (
	// aliveAfter is how long a process must live to count as started if that is in doubt: a shell
	// that does not find its program ends sooner.
	aliveAfter = time.Second
	// mostCheck bounds a check without a job.
	mostCheck = 15 * time.Second
	// mostRetry is the wait between two attempts to start a job that can't be requeued.
	mostRetry = 5 * time.Second
)

// guard stands between the job servers and a handler: it takes the handler's functions off the job
// servers while the handler can't run jobs. A job that never ran is tried again in its slot for a
// moment, then requeued.
type guard struct {
	run    job.Handler
	admit  func(slots int)    // sets on how many slots the functions are registered
	notify func(state string) // called after a change of state
	log    *slog.Logger       // has the functions as an attribute

	wake chan struct{} // tells Run that the machine's next time has changed

	failedCheck string // why the last check failed, empty if it passed; only check uses it

	mu      sync.Mutex
	machine *breaker.Machine
	changed chan struct{} // closed at the next change of state

	admitting sync.Mutex // one admission at a time, in order
	slots     int        // as last admitted
}

func newGuard(run job.Handler, failingAfter int, log *slog.Logger) *guard {
	return &guard{
		run: run, admit: func(int) {}, notify: func(string) {}, log: log,
		wake: make(chan struct{}, 1), changed: make(chan struct{}), machine: breaker.New(failingAfter, splay),
		slots: breaker.AllSlots,
	}
}

// splay returns d, up to a fifth more or less, so that the workers of a pool don't act in lockstep.
func splay(d time.Duration) time.Duration {
	return d*4/5 + rand.N(d*2/5+1) //nolint:gosec // spreads load, keeps no secret
}

// with changes the machine and acts on the new state.
func (g *guard) with(change func(m *breaker.Machine, now time.Time)) {
	g.mu.Lock()
	before := g.machine.State()
	change(g.machine, time.Now())
	after, reason := g.machine.State(), g.machine.Reason()
	if before != after {
		close(g.changed)
		g.changed = make(chan struct{})
	}
	g.mu.Unlock()
	g.admitting.Lock()
	g.mu.Lock()
	slots := g.machine.Slots()
	g.mu.Unlock()
	if slots != g.slots {
		g.slots = slots
		g.admit(slots)
	}
	g.admitting.Unlock()
	select {
	case g.wake <- struct{}{}:
	default:
	}
	if before != after {
		g.tell(before, after, reason)
	}
}

func (g *guard) tell(before, after breaker.State, reason string) {
	attrs := []slog.Attr{slog.String("reason", reason)}
	level, msg := slog.LevelWarn, ""
	switch {
	case after == breaker.Open && before != breaker.Half:
		msg = "Jobs can't be started: none is taken until a check without a job passes"
	case after == breaker.Failing:
		msg = "Jobs fail one after the other: one a second is taken until one completes"
	case after == breaker.Closed && before != breaker.Single:
		level, msg, attrs = slog.LevelInfo, "Jobs are taken again", nil
	}
	if msg != "" {
		g.log.LogAttrs(context.Background(), level, msg, attrs...)
	}
	g.notify(after.String())
}

// view returns the state, as shown to people.
func (g *guard) view() (state breaker.State, reason string, unready bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.machine.State(), g.machine.Reason(), g.machine.Unready(time.Now())
}

// quiet reports whether there is no trouble; each job checks this first.
func (g *guard) quiet() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.machine.State() == breaker.Closed
}

// Run checks without a job and lets time pass for the machine until ctx is done.
func (g *guard) Run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		g.mu.Lock()
		next := g.machine.Wake()
		g.mu.Unlock()
		if next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(next))
		}
		select {
		case <-ctx.Done():
			return
		case <-g.wake:
			continue
		case <-timer.C:
		}
		check := false
		g.with(func(m *breaker.Machine, now time.Time) { check = m.Tick(now) })
		if check {
			g.check(ctx)
		}
	}
}

func (g *guard) check(ctx context.Context) {
	var err error
	if c, ok := g.run.(job.Checker); ok {
		bounded, cancel := context.WithTimeout(ctx, mostCheck)
		err = c.Check(bounded)
		cancel()
	}
	reason := ""
	if err != nil {
		reason = err.Error()
	}
	if reason != "" && reason != g.failedCheck { // not each time
		g.log.Warn("A check without a job failed; the worker still takes no jobs", "reason", reason)
	}
	g.failedCheck = reason
	g.with(func(m *breaker.Machine, now time.Time) {
		if err != nil {
			m.CheckFailed(now, reason)
			return
		}
		m.CheckPassed(now)
	})
}

// Handle runs one job. If requeues is false, the job server fails requeued jobs: a job that can't
// start is held until it can, its time is up or the worker stops.
func (g *guard) Handle(ctx context.Context, j *job.Job, requeues bool) job.Outcome {
	if !g.quiet() {
		g.with(func(m *breaker.Machine, now time.Time) { m.Took(now) })
	}
	for try := 1; ; try++ {
		o := g.try(ctx, j)
		if !o.NeverRan {
			g.ended(&o)
			return o
		}
		if o.Reason == job.Interrupting {
			g.with(func(m *breaker.Machine, now time.Time) { m.Released(now) })
			return o
		}
		if o.Reason == job.Busy {
			try = busyTries // it was held long enough
		}
		var wait time.Duration
		var keep bool
		var changed chan struct{}
		g.with(func(m *breaker.Machine, now time.Time) { wait, keep = m.NeverRan(now, try, o.Message) })
		g.mu.Lock()
		changed = g.changed
		g.mu.Unlock()
		if !keep {
			if requeues {
				return o
			}
			wait = mostRetry
		}
		switch g.hold(ctx, j, wait, changed) {
		case heldOut:
			return g.givenUp(ctx, o, requeues)
		case heldChanged:
			if !g.quiet() && requeues {
				return o
			}
			try = 0
		case heldLong:
		}
	}
}

const busyTries = 3

// try runs the job once. A process that runs for a while counts as started, whatever the job's
// outcome.
func (g *guard) try(ctx context.Context, j *job.Job) job.Outcome {
	var alive *time.Timer
	j.Started = func() {
		if !g.quiet() {
			alive = time.AfterFunc(aliveAfter, func() { g.with(func(m *breaker.Machine, _ time.Time) { m.Started() }) })
		}
	}
	o := g.run.Handle(ctx, j)
	if alive != nil {
		alive.Stop()
	}
	return o
}

// ended records the end of a job that ran. For a job that completes without trouble that is only
// one check of the state.
func (g *guard) ended(o *job.Outcome) {
	if o.Kind == job.Completed {
		g.mu.Lock()
		quiet := g.machine.State() == breaker.Closed
		if quiet {
			g.machine.Completed()
		}
		g.mu.Unlock()
		if quiet {
			return
		}
	}
	g.with(func(m *breaker.Machine, now time.Time) {
		switch {
		case o.Kind == job.Completed:
			m.Completed()
		case o.NotFound:
			m.NotFound(now, o.Message)
		case o.Reason == job.Interrupting:
			m.Released(now)
		default:
			m.Started()
			m.Failed(now, o.Message)
		}
	})
}

// held is how holding a job ended.
type held int

const (
	heldLong    held = iota // for the whole wait
	heldChanged             // until the state changed
	heldOut                 // until its time was up or the worker stopped
)

// hold waits before the next try.
func (g *guard) hold(ctx context.Context, j *job.Job, wait time.Duration, changed <-chan struct{}) held {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return heldOut
	case <-j.Draining:
		return heldOut
	case <-changed:
		return heldChanged
	case <-timer.C:
		return heldLong
	}
}

// givenUp returns the outcome of a job that was held and never ran; o has the reason.
func (g *guard) givenUp(ctx context.Context, o job.Outcome, requeues bool) job.Outcome {
	g.with(func(m *breaker.Machine, now time.Time) { m.Released(now) })
	if requeues {
		return o
	}
	failed := job.Failf(o.Reason, "%s", o.Message)
	if errors.Is(context.Cause(ctx), job.ErrTimeout) {
		failed.Reason = job.TimedOut
	}
	return failed
}
