package breaker

import (
	"time"
)

// State is the state of a breaker.
type State int

// The states.
const (
	Closed  State = iota // jobs are taken
	Single               // a job did not start: no more are taken, held ones are tried again in their slots
	Open                 // jobs do not start: none is taken until a check without a job passes
	Half                 // one job is taken as a trial
	Failing              // jobs run and fail: one a second is taken
)

// String names the state in lower case, fit for a metric's label.
func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case Single:
		return "single"
	case Open:
		return "open"
	case Half:
		return "half"
	case Failing:
		return "failing"
	}
	return "unknown"
}

// AllSlots is what Slots returns when nothing limits the slots.
const AllSlots = -1

const (
	mostTries    = 3                // consecutive failed starts of one job that open the breaker
	singleFor    = 5 * time.Second  // how long Single may last
	firstCheck   = time.Second      // wait before the first check, doubled after each failure
	lastCheck    = time.Minute      // bound of that wait
	unreadyAfter = 10 * time.Second // how long trouble lasts before the worker counts as unready
	failingPace  = time.Second      // between two jobs in Failing
	trialFor     = 10 * time.Second // how long Half waits for a job
)

// retryWaits are the waits of a held job before it is tried again in its slot. Most causes that
// pass by themselves (no process or memory free at the moment, a program file that is being
// written) do so within a second.
var retryWaits = []time.Duration{200 * time.Millisecond, 800 * time.Millisecond, 2 * time.Second}

// Machine is the breaker of one handler. The zero value is not ready for use: call New.
type Machine struct {
	failingAfter int
	jitter       func(time.Duration) time.Duration

	state    State
	since    time.Time // start of the current trouble
	reason   string
	notFound int       // consecutive jobs whose program was not found by the shell that should run it
	failed   int       // consecutive jobs that ran and failed
	checks   int       // consecutive failed checks and trials
	next     time.Time // Open: of the next check; Failing: of the next job
	taken    time.Time // when Half or Failing last took a job; zero if none was taken
	trial    time.Time // end of Half's wait for a job
}

// New returns a machine that counts as Failing after failingAfter consecutive failed jobs (0:
// never). jitter spreads the waits of many workers.
func New(failingAfter int, jitter func(time.Duration) time.Duration) *Machine {
	return &Machine{failingAfter: failingAfter, jitter: jitter}
}

// State returns the current state.
func (m *Machine) State() State { return m.state }

// Slots returns how many slots may take jobs now: AllSlots, 0 or 1.
func (m *Machine) Slots() int {
	switch m.state {
	case Closed:
		return AllSlots
	case Half, Failing:
		if m.taken.IsZero() && m.next.IsZero() {
			return 1
		}
	case Single, Open:
	}
	return 0
}

// Reason returns why the state is not Closed, in the words of the last failure.
func (m *Machine) Reason() string {
	if m.state == Closed {
		return ""
	}
	return m.reason
}

// Unready reports whether jobs have not started for so long that the worker should not count as
// ready.
func (m *Machine) Unready(now time.Time) bool {
	switch m.state {
	case Single, Open, Half:
		return now.Sub(m.since) >= unreadyAfter
	case Closed, Failing:
	}
	return false
}

// Took records that a job was taken.
func (m *Machine) Took(now time.Time) {
	if m.state == Half || m.state == Failing {
		m.taken = now
	}
}

// NeverRan records that a job could not be started at its nth consecutive try. If keep is true, the
// job stays in its slot and is tried again after wait; otherwise the caller must requeue it.
func (m *Machine) NeverRan(now time.Time, try int, reason string) (wait time.Duration, keep bool) {
	m.reason = reason
	switch m.state {
	case Closed, Failing:
		m.state, m.since = Single, now
		m.next, m.taken = time.Time{}, time.Time{}
	case Half:
		m.reopen(now)
	case Single, Open:
	}
	if m.state == Single && (try >= mostTries || now.Sub(m.since) >= singleFor) {
		m.open(now)
	}
	if m.state == Open {
		return 0, false
	}
	return retryWaits[min(try, len(retryWaits))-1], true
}

// NotFound records a job that ran and ended at once because its shell did not find the program, or
// could not run it. The job has failed, but it shows the same trouble as one that never ran.
func (m *Machine) NotFound(now time.Time, reason string) {
	m.reason = reason
	m.notFound++
	switch {
	case m.state == Half:
		m.reopen(now)
	case m.state != Open && m.notFound >= mostTries:
		m.since = now
		m.open(now)
	}
}

func (m *Machine) open(now time.Time) {
	m.state, m.checks, m.taken = Open, 0, time.Time{}
	m.next = now.Add(m.jitter(firstCheck))
}

func (m *Machine) reopen(now time.Time) {
	m.state, m.taken = Open, time.Time{}
	m.CheckFailed(now, m.reason)
}

// Started records that a job has started.
func (m *Machine) Started() {
	m.notFound = 0
	if m.state == Single || m.state == Half {
		m.close()
	}
}

func (m *Machine) close() {
	m.state, m.checks = Closed, 0
	m.next, m.taken, m.since = time.Time{}, time.Time{}, time.Time{}
}

// Completed records that a job has completed.
func (m *Machine) Completed() {
	m.failed = 0
	m.Started()
	if m.state == Failing {
		m.close()
	}
}

// Failed records that a job ran and failed or crashed.
func (m *Machine) Failed(now time.Time, reason string) {
	m.failed++
	if m.state == Closed && m.failingAfter > 0 && m.failed >= m.failingAfter {
		m.state, m.since, m.taken = Failing, now, now
	}
	if m.state != Failing {
		return
	}
	m.reason = reason
	if !m.taken.IsZero() { // otherwise it was taken before
		m.next, m.taken = m.taken.Add(failingPace), time.Time{}
	}
}

// Released records that a job was taken but its end shows nothing about the handler, as after a
// stop of the worker.
func (m *Machine) Released(now time.Time) {
	switch {
	case m.taken.IsZero():
	case m.state == Half:
		m.taken, m.trial = time.Time{}, now.Add(trialFor)
	case m.state == Failing:
		m.next, m.taken = now.Add(failingPace), time.Time{}
	}
}

// Wake returns when Tick has something to do, or zero.
func (m *Machine) Wake() time.Time {
	switch m.state {
	case Single:
		return m.since.Add(singleFor)
	case Open, Failing:
		return m.next
	case Half:
		if m.taken.IsZero() {
			return m.trial
		}
	case Closed:
	}
	return time.Time{}
}

// Tick advances the machine to now. It reports whether a check without a job is due. The caller
// passes the result to CheckPassed or CheckFailed.
func (m *Machine) Tick(now time.Time) (check bool) {
	if wake := m.Wake(); wake.IsZero() || now.Before(wake) {
		return false
	}
	switch m.state {
	case Single:
		m.open(now)
	case Open:
		m.next = time.Time{} // until the result of the check is known
		return true
	case Failing:
		m.next = time.Time{}
	case Half: // no job came that could show more than the check
		m.close()
	case Closed:
	}
	return false
}

// CheckPassed records that a check without a job passed: one job is taken as a trial. If none comes
// for a while, the check suffices.
func (m *Machine) CheckPassed(now time.Time) {
	if m.state == Open {
		m.state, m.next, m.taken, m.trial = Half, time.Time{}, time.Time{}, now.Add(trialFor)
	}
}

// CheckFailed records that a check without a job failed.
func (m *Machine) CheckFailed(now time.Time, reason string) {
	if m.state != Open {
		return
	}
	m.reason = reason
	m.checks++
	wait := lastCheck
	if m.checks < 6 {
		wait = min(lastCheck, firstCheck<<m.checks)
	}
	m.next = now.Add(m.jitter(wait))
}
