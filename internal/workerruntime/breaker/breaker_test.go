package breaker

import (
	"fmt"
	"testing"
	"time"
)

func exactly(d time.Duration) time.Duration { return d }

// A step is one event for the machine, at a time since its start.
type step struct {
	at    time.Duration
	do    func(m *Machine, now time.Time)
	state State
	slots int
}

func neverRan(try int, keep bool) func(*Machine, time.Time) {
	return func(m *Machine, now time.Time) {
		if _, kept := m.NeverRan(now, try, "no such file"); kept != keep {
			panic(fmt.Sprintf("try %d: kept %v, want %v", try, kept, keep))
		}
	}
}

func tick(check bool) func(*Machine, time.Time) {
	return func(m *Machine, now time.Time) {
		if m.Tick(now) != check {
			panic(fmt.Sprintf("a check was due: %v, want %v", !check, check))
		}
	}
}

func TestMachine(t *testing.T) {
	t.Parallel()
	started := func(m *Machine, _ time.Time) { m.Started() }
	completed := func(m *Machine, _ time.Time) { m.Completed() }
	failed := func(m *Machine, now time.Time) { m.Failed(now, "exit code 1") }
	notFound := func(m *Machine, now time.Time) { m.NotFound(now, "exit code 127") }
	took := func(m *Machine, now time.Time) { m.Took(now) }
	passed := func(m *Machine, now time.Time) { m.CheckPassed(now) }
	checkFailed := func(m *Machine, now time.Time) { m.CheckFailed(now, "still none") }
	released := func(m *Machine, now time.Time) { m.Released(now) }
	const s = time.Second
	for name, steps := range map[string][]step{
		"one failed start heals": {
			{0, neverRan(1, true), Single, 0},
			{s / 5, started, Closed, AllSlots},
		},
		"three failed starts of one job open": {
			{0, neverRan(1, true), Single, 0},
			{s / 5, neverRan(2, true), Single, 0},
			{s, neverRan(3, false), Open, 0},
		},
		"a check that passed is enough if no job comes": {
			{0, neverRan(3, false), Open, 0},
			{s, passed, Half, 1},
			{10 * s, tick(false), Half, 1},
			{11 * s, tick(false), Closed, AllSlots},
		},
		"not while the trial runs": {
			{0, neverRan(3, false), Open, 0},
			{s, passed, Half, 1},
			{2 * s, took, Half, 0},
			{time.Hour, tick(false), Half, 0},
		},
		"many slots at once do not open it": {
			{0, neverRan(1, true), Single, 0},
			{0, neverRan(1, true), Single, 0},
			{0, neverRan(1, true), Single, 0},
			{0, neverRan(1, true), Single, 0},
		},
		"five seconds open": {
			{0, neverRan(1, true), Single, 0},
			{5 * s, tick(false), Open, 0},
		},
		"five seconds open by a failed start": {
			{0, neverRan(1, true), Single, 0},
			{6 * s, neverRan(2, false), Open, 0},
		},
		"open to half to closed": {
			{0, neverRan(3, false), Open, 0},
			{s / 2, tick(false), Open, 0},
			{s, tick(true), Open, 0},
			{s, passed, Half, 1},
			{2 * s, took, Half, 0},
			{2 * s, started, Closed, AllSlots},
		},
		"a failed check waits longer": {
			{0, neverRan(3, false), Open, 0},
			{s, tick(true), Open, 0},
			{s, checkFailed, Open, 0},
			{2 * s, tick(false), Open, 0},
			{3 * s, tick(true), Open, 0},
			{3 * s, checkFailed, Open, 0},
			{6 * s, tick(false), Open, 0},
			{7 * s, tick(true), Open, 0},
		},
		"a failed trial waits longer": {
			{0, neverRan(3, false), Open, 0},
			{s, tick(true), Open, 0},
			{s, passed, Half, 1},
			{s, took, Half, 0},
			{s, neverRan(1, false), Open, 0},
			{2 * s, tick(false), Open, 0},
			{3 * s, tick(true), Open, 0},
		},
		"a trial that the worker's stop ends": {
			{0, neverRan(3, false), Open, 0},
			{s, tick(true), Open, 0},
			{s, passed, Half, 1},
			{s, took, Half, 0},
			{2 * s, released, Half, 1},
			{11 * s, tick(false), Half, 1},
			{12 * s, tick(false), Closed, AllSlots},
		},
		"a shell that does not find the program": {
			{0, notFound, Closed, AllSlots},
			{0, notFound, Closed, AllSlots},
			{0, notFound, Open, 0},
			{s, tick(true), Open, 0},
			{s, passed, Half, 1},
			{s, notFound, Open, 0},
		},
		"a program that is found between": {
			{0, notFound, Closed, AllSlots},
			{0, notFound, Closed, AllSlots},
			{0, started, Closed, AllSlots},
			{0, notFound, Closed, AllSlots},
		},
		"failures in a row slow down": {
			{0, failed, Closed, AllSlots},
			{0, failed, Closed, AllSlots},
			{0, failed, Failing, 0},
			{s / 2, tick(false), Failing, 0},
			{s, tick(false), Failing, 1},
			{s, took, Failing, 0},
			{s + s/4, failed, Failing, 0},
			{s + s/2, tick(false), Failing, 0},
			{2 * s, tick(false), Failing, 1},
			{2 * s, took, Failing, 0},
			{2 * s, completed, Closed, AllSlots},
		},
		"jobs that other slots had when failures slow down": {
			{0, failed, Closed, AllSlots},
			{0, failed, Closed, AllSlots},
			{0, failed, Failing, 0},
			{s / 4, failed, Failing, 0},
			{s / 4, tick(false), Failing, 0},
			{s / 2, failed, Failing, 0},
			{s, tick(false), Failing, 1},
		},
		"a completed job between": {
			{0, failed, Closed, AllSlots},
			{0, failed, Closed, AllSlots},
			{0, completed, Closed, AllSlots},
			{0, failed, Closed, AllSlots},
			{0, failed, Closed, AllSlots},
		},
		"failing, then no start at all": {
			{0, failed, Closed, AllSlots},
			{0, failed, Closed, AllSlots},
			{0, failed, Failing, 0},
			{s, tick(false), Failing, 1},
			{s, took, Failing, 0},
			{s, neverRan(1, true), Single, 0},
		},
		"a job that completes while open changes nothing": {
			{0, neverRan(3, false), Open, 0},
			{0, completed, Open, 0},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begin := time.Unix(1000, 0)
			m := New(3, exactly)
			for i, st := range steps {
				st.do(m, begin.Add(st.at))
				if m.State() != st.state || m.Slots() != st.slots {
					t.Fatalf(
						"after step %d: %v with %d slots, want %v with %d", i, m.State(), m.Slots(), st.state, st.slots,
					)
				}
			}
		})
	}
}

func TestChecksAreAtMostAMinuteApart(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	m := New(0, exactly)
	m.NeverRan(now, 3, "gone")
	for i := range 20 {
		wake := m.Wake()
		if wait := wake.Sub(now); wait <= 0 || wait > time.Minute {
			t.Fatalf("check %d comes after %v", i, wait)
		}
		now = wake
		if !m.Tick(now) {
			t.Fatalf("check %d is not due at its time", i)
		}
		m.CheckFailed(now, "still gone")
	}
	if wait := m.Wake().Sub(now); wait != time.Minute {
		t.Errorf("the checks are %v apart in the end, want a minute", wait)
	}
}

func TestUnreadyAfterTenSeconds(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	m := New(1, exactly)
	m.NeverRan(now, 3, "gone")
	if m.Unready(now.Add(9 * time.Second)) {
		t.Error("unready after 9 s: trouble that heals soon must not cost a pod")
	}
	if !m.Unready(now.Add(10*time.Second)) || m.Reason() != "gone" {
		t.Errorf("ready after 10 s without a start; reason %q", m.Reason())
	}
	m.Tick(now.Add(11 * time.Second))
	m.CheckPassed(now.Add(11 * time.Second))
	m.Started()
	if m.Unready(now.Add(time.Hour)) || m.Reason() != "" {
		t.Error("unready after a job has started")
	}
	m.Failed(now, "exit code 1")
	if m.State() != Failing || m.Unready(now.Add(time.Hour)) {
		t.Error("a worker whose jobs run and fail stays ready: a new pod would do no better")
	}
}

func TestFailingCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	m := New(0, exactly)
	for range 1000 {
		m.Failed(time.Unix(1000, 0), "exit code 1")
	}
	if m.State() != Closed {
		t.Errorf("the machine is %v", m.State())
	}
}
