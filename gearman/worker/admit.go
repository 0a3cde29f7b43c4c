package worker

import (
	"fmt"
	"slices"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// AllSlots puts a function back on all its slots: see Admit.
const AllSlots = -1

// Admit sets on how many slots functions are registered from now on: AllSlots, or a number, of
// which 0 takes the functions off the job servers. Which slots these are is chosen anew at each
// call, idle ones first. Connections stay open, a job that runs is not touched, and a job that a
// server is handing out at the moment still comes.
//
// A worker that can't run a function's jobs for the moment takes itself off, so that the jobs go to
// workers that can.
func (w *Worker) Admit(slots int, names ...string) error {
	for _, name := range names {
		if w.functions[w.o.Prefix+name] == nil {
			return fmt.Errorf("function %s: it has no handler", name)
		}
	}
	w.admission.Lock()
	for _, name := range names {
		f := w.functions[w.o.Prefix+name]
		switch {
		case slots < 0:
			f.only, f.restricted = nil, false
		default:
			f.only, f.restricted = w.choose(f, slots), true
		}
	}
	w.admissions.Add(1)
	w.admission.Unlock()
	for _, s := range w.slots {
		s.ping()
	}
	return nil
}

// choose takes n of a function's slots, those without a job first.
func (w *Worker) choose(f *function, n int) []int {
	var idle, busy []int
	for _, s := range w.slots {
		switch {
		case !w.allows(f, s.id):
		case s.hasJob():
			busy = append(busy, s.id)
		default:
			idle = append(idle, s.id)
		}
	}
	all := append(idle, busy...)
	return all[:min(n, len(all))]
}

// allows tells whether a slot is one of those that f may have by its limit. The limits of several
// functions use different slots as far as there are enough.
func (w *Worker) allows(f *function, slot int) bool {
	n := len(w.slots)
	return f.slots <= 0 || f.slots >= n || (slot-f.firstSlot%n+n)%n < f.slots
}

// registrationOf lists the functions that a slot registers, in order, and the number of the
// admission that says so. gearmand 1.1 serves the function that was registered last, as long as it
// has jobs; so that none of them starves, each slot begins with another one.
func (w *Worker) registrationOf(slot int) ([]*function, uint64) {
	w.admission.Lock()
	defer w.admission.Unlock()
	var fns []*function
	for i := range w.order {
		f := w.order[(i+slot)%len(w.order)]
		if w.allows(f, slot) && (!f.restricted || slices.Contains(f.only, slot)) {
			fns = append(fns, f)
		}
	}
	return fns, w.admissions.Load()
}

// turnAfter is how long a connection that runs jobs keeps the order of its functions.
const turnAfter = time.Second

// turn changes the order of a connection's functions from time to time, in a worker with fewer
// slots than functions: the function that the server prefers would else be the only one that is
// served while it has jobs. The caller drives the slot and is about to ask for a job, so none is in
// flight.
func (s *slot) turn(l *link) {
	if len(s.w.slots) >= len(s.w.order) ||
		slices.ContainsFunc(s.w.order, func(f *function) bool { return f.serverTimeout > 0 }) {
		return // CAN_DO_TIMEOUT must not be sent twice over a connection
	}
	now := time.Now()
	s.mu.Lock()
	if l.turnedAt.IsZero() {
		l.turnedAt = now
	}
	n := len(l.registered)
	if n < 2 || now.Sub(l.turnedAt) < turnAfter || s.stopping {
		s.mu.Unlock()
		return
	}
	l.turnedAt = now
	fns := slices.Concat(l.registered[1:], l.registered[:1])
	l.registered = fns
	s.mu.Unlock()
	// A failure ends the connection, of which its reader tells.
	_ = l.out.Stage(func(dst []byte) []byte { return appendRegistration(appendReset(dst), fns) })
}

func appendRegistration(dst []byte, fns []*function) []byte {
	for _, f := range fns {
		if f.serverTimeout > 0 {
			dst = proto.AppendCanDoTimeout(dst, f.wire, f.serverTimeout)
		} else {
			dst = proto.AppendCanDo(dst, f.wire)
		}
	}
	return dst
}

// hasJob tells whether the slot runs a job.
func (s *slot) hasJob() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.conns, func(c *conn) bool { return c.link != nil && c.link.state == working })
}

// reregister brings the registrations of the slot's connections up to date. Its caller drives the
// slot, so no request for a job is outstanding and no job is in flight: RESET_ABILITIES would
// requeue one.
func (s *slot) reregister() {
	fns, admission := s.w.registrationOf(s.id)
	var stale []*link
	s.mu.Lock()
	s.admission = admission
	for _, c := range s.conns {
		l := c.link
		if l == nil || l.admission == admission || l.state == working || l.state == grabbing || l.state == parked ||
			l.state == broken {
			continue
		}
		l.admission, l.registered = admission, fns
		l.state = awake // there may be jobs of functions that are new to it
		if len(fns) == 0 {
			l.state = resting
		}
		stale = append(stale, l)
	}
	s.mu.Unlock()
	for _, l := range stale {
		// A failure ends the connection, of which its reader tells.
		_ = l.out.Send(func(dst []byte) []byte { return appendRegistration(appendReset(dst), fns) })
	}
}
