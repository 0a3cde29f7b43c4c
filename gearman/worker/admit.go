package worker

import (
	"fmt"
	"slices"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// AllSlots registers a function on all its slots again: see Admit.
const AllSlots = -1

// Admit sets the number of slots that register the given functions from now on: AllSlots, or a
// number. With 0, the functions are unregistered from all job servers. Each call chooses the slots
// again, idle ones first. Connections stay open, and a running job is not affected. A job that a
// job server is assigning at that moment still arrives.
//
// A worker that temporarily can't run a function's jobs uses this to unregister, so that the jobs
// go to workers that can run them.
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

// choose returns n of a function's slots, slots without a job first.
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

// allows reports whether f's limit allows it to use a slot. The limits of several functions use
// different slots as far as there are enough.
func (w *Worker) allows(f *function, slot int) bool {
	n := len(w.slots)
	return f.slots <= 0 || f.slots >= n || (slot-f.firstSlot%n+n)%n < f.slots
}

// registrationOf returns the functions that a slot registers, in order, and the number of the
// admission that this corresponds to. gearmand 1.1 serves the function that was registered last for
// as long as it has jobs. Each slot starts with a different function, so that none starves.
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

// turn periodically changes the order of a connection's functions, in a worker with fewer slots
// than functions. Otherwise the function that the job server prefers would be the only one that is
// served while it has jobs. The caller drives the slot and is about to request a job, so none is in
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
	// If it fails, the connection ends and its reader reports that.
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

// hasJob reports whether the slot runs a job.
func (s *slot) hasJob() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.conns, func(c *conn) bool { return c.link != nil && c.link.state == working })
}

// reregister updates the registrations of the slot's connections. The caller drives the slot, so no
// request for a job is outstanding and no job is in flight: RESET_ABILITIES would requeue it.
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
		l.state = awake // there may be jobs of the newly registered functions
		if len(fns) == 0 {
			l.state = resting
		}
		stale = append(stale, l)
	}
	s.mu.Unlock()
	for _, l := range stale {
		// If it fails, the connection ends and its reader reports that.
		_ = l.out.Send(func(dst []byte) []byte { return appendRegistration(appendReset(dst), fns) })
	}
}
