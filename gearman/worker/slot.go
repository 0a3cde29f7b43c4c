package worker

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// slot runs one job at a time. The goroutine that makes it busy drives it: it requests a job, runs
// it, and requests the next. The goroutine that reads the response to a request goes on driving.
// run's goroutine starts the slot when there is a job server to poll, watches for silent job
// servers, and ends the slot.
type slot struct {
	w    *Worker
	id   int
	wake chan struct{} // wakes run after a change of the fields below

	mu       sync.Mutex
	running  *link   // the link whose job runs, or nil
	conns    []*conn // in polling order
	next     int     // index in conns of the next one to poll
	stopping bool    // no more requests are allowed
	busy     bool    // a job runs, or was requested
	asked    *link   // the link that was polled and hasn't responded
	asks     uint64  // number of requests so far

	seen      uint64        // asks for the job that was running at the last look, see lookAtJob
	seenSince time.Duration // it did not run before this time of Worker.clock

	admission uint64 // the admission that the registrations correspond to
}

func newSlot(w *Worker, id int) *slot {
	return &slot{w: w, id: id, wake: make(chan struct{}, 1)}
}

func (s *slot) ping() {
	select {
	case s.wake <- struct{}{}:
	default: // run will check anyway
	}
}

// add adds a connection. Slots start their rounds at different job servers, so that they don't move
// from job server to job server together.
func (s *slot) add(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, c)
	s.next = s.id % len(s.conns)
}

func (s *slot) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = slices.DeleteFunc(s.conns, func(x *conn) bool { return x == c })
	s.next = 0
}

func (s *slot) links() []*link {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*link
	for _, c := range s.conns {
		if c.link != nil {
			out = append(out, c.link)
		}
	}
	return out
}

func (s *slot) linkUp(c *conn, l *link) {
	s.mu.Lock()
	c.link = l
	stopping := s.stopping
	switch {
	case stopping:
		l.state = parked
	case len(l.registered) == 0:
		l.state = resting
	}
	s.admission = min(s.admission, l.admission)
	s.mu.Unlock()
	if stopping { // it registered while the others were unregistered
		_ = l.out.Send(appendReset) // if it fails, the connection ends, which is fine here
	}
	s.ping()
}

// linkDown removes the link and returns why it ended: the worker's own reason, if it closed the
// link.
func (s *slot) linkDown(c *conn, l *link, err error) error {
	c.server.sleepers.leave(l)
	c.server.sleepers.rouse()
	s.mu.Lock()
	defer s.mu.Unlock()
	c.link = nil
	if s.asked == l {
		s.asked, s.busy = nil, false
		s.w.returnTicket()
	}
	if l.cancelJob != nil {
		l.cancelJob(ErrDisconnected)
	}
	s.ping()
	if l.sayBye {
		return nil
	}
	if l.onPurpose != nil {
		return fmt.Errorf("job server %s: %w", c.server.ep, l.onPurpose)
	}
	return err
}

// succeeded reports whether a job completed over a link.
func (s *slot) succeeded(l *link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return l.success
}

// answered ends the wait for a link's response. fn is the function of the job in it, if any. It
// reports whether the worker is stopping.
func (s *slot) answered(l *link, to state, fn *function) (stopping bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.state != grabbing || s.asked != l {
		return false, errors.New("a response to a job request that was not made")
	}
	if !l.plainGrab {
		l.proven = true
	}
	if s.asked, l.state, l.working = nil, to, fn; to == working {
		s.running = l
	}
	return s.isStoppingLocked(), nil
}

// noJob handles a NO_JOB: the link sleeps, and the slot polls the next one.
func (s *slot) noJob(l *link) error {
	if _, err := s.answered(l, asleep, nil); err != nil {
		return err
	}
	s.w.returnTicket()
	s.w.hadNone(l.c.server)
	s.sleep(l)
	s.goOn(nil, nil)
	return nil
}

// gotJob runs a job and requests the next.
func (s *slot) gotJob(l *link, job *Job) error {
	stopping, err := s.answered(l, working, job.fn)
	if err != nil {
		job.removeSpool()
		return err
	}
	l.c.server.sleepers.rouse()
	return s.work(l, job, stopping)
}

// grabRefused reports whether an ERROR was the response to the first GRAB_JOB_UNIQ, from a job
// server that doesn't know it. It then sends GRAB_JOB instead.
func (s *slot) grabRefused(l *link) bool {
	s.mu.Lock()
	if l.state != grabbing || s.asked != l || l.plainGrab || l.proven {
		s.mu.Unlock()
		return false
	}
	l.plainGrab = true
	s.mu.Unlock()
	// If it fails, the connection ends and its reader reports that.
	_ = l.out.Send(grabPlain)
	return true
}

func grabUniq(dst []byte) []byte { return proto.AppendEmpty(dst, proto.Request, proto.TypeGrabJobUniq) }

func grabPlain(dst []byte) []byte { return proto.AppendEmpty(dst, proto.Request, proto.TypeGrabJob) }

const (
	quickWakeUp  = 20 * time.Millisecond // a NOOP this soon after PRE_SLEEP is most likely not due to a submission
	freeWakeUps  = 2                     // this many in a row are trusted
	wakeUpDelay  = 10 * time.Millisecond // then each doubles the wait before the next request
	longestDelay = time.Second
)

// wakeUp handles a NOOP. gearmand can wake a worker for a job that it then doesn't assign,
// thousands of times a second.
func (s *slot) wakeUp(l *link) {
	s.mu.Lock()
	if l.state != asleep {
		s.mu.Unlock()
		return
	}
	now := time.Now()
	if now.Sub(l.sleptAt) > quickWakeUp {
		l.quick = 0
	} else {
		l.quick++
	}
	l.notBefore = now
	if n := l.quick - freeWakeUps; n > 0 {
		l.notBefore = now.Add(min(wakeUpDelay<<min(n-1, 10), longestDelay))
	}
	l.state = awake
	take := !s.busy && !l.notBefore.After(now)
	s.busy = s.busy || take
	s.mu.Unlock()
	l.c.server.sleepers.leave(l)
	if take {
		s.goOn(nil, nil)
	} else {
		l.c.server.sleepers.rouse() // this slot doesn't take the job
		s.ping()
	}
}

// run starts the slot when there is a job server to poll, until the worker stops.
func (s *slot) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var watched struct {
		l    *link
		asks uint64
		read int64
	}
	for {
		stopping := s.isStopping()
		s.mu.Lock()
		busy, l, asks := s.busy, s.asked, s.asks
		if !busy && !stopping {
			s.busy = true
		}
		s.mu.Unlock()
		wait := s.w.o.GrabTimeout
		switch {
		case busy && l != nil: // has it been silent since the last check?
			if read := l.read.Load(); watched.l != l || watched.asks != asks || watched.read != read {
				watched.l, watched.asks, watched.read = l, asks, read
				timer.Reset(wait)
			}
		case busy:
			s.keepAlive(s.w.clock())
			timer.Reset(min(wait, s.w.o.KeepAlive))
		case stopping:
			s.unregister(true)
			if s.id != 0 || s.w.o.Linger <= 0 {
				s.leave()
			}
			return
		default:
			free, next := s.drive(nil, nil)
			if free {
				wait = next
			}
			timer.Reset(wait)
		}
		soft := s.w.soft
		if stopping {
			soft = nil // it is closed
		}
		select {
		case <-s.wake:
		case <-soft:
		case <-timer.C:
			s.mu.Lock()
			hung := s.asked != nil && s.asked == watched.l && s.asks == watched.asks &&
				watched.l.read.Load() == watched.read
			s.mu.Unlock()
			if hung {
				s.drop(watched.l, errHung)
			}
		}
	}
}

// keepAlive sends something over the connection whose job runs: proxies, load balancers and address
// translators cut connections on which nothing is sent for long, and the job would then run twice.
func (s *slot) keepAlive(now time.Duration) {
	var silent *link
	s.mu.Lock()
	for _, c := range s.conns {
		if l := c.link; l != nil && l.state == working && s.seen == s.asks &&
			now-max(s.seenSince, l.alive) >= s.w.o.KeepAlive {
			silent, l.alive = l, now
		}
	}
	s.mu.Unlock()
	if silent != nil {
		// If it fails, the connection ends and its reader reports that.
		_ = silent.out.Send(func(dst []byte) []byte { return proto.AppendEcho(dst, proto.Request, aliveEcho) })
	}
}

func (s *slot) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.isStoppingLocked()
}

func (s *slot) isStoppingLocked() bool {
	s.stopping = s.stopping || s.w.stops.Load()
	return s.stopping
}

// pick chooses the next connection to poll, in turn, and reserves it. If that is not unsent, whose
// job's outcome still has to be flushed, nothing is reserved. If there is none to poll, the slot
// becomes free. If ended is not nil, that job no longer runs.
func (s *slot) pick(unsent *link, ended *Job) (l *link, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ended != nil {
		s.endedLocked(ended)
	}
	stopping := s.isStoppingLocked()
	if !stopping && s.admission != s.w.admissions.Load() {
		s.mu.Unlock()
		s.reregister()
		s.mu.Lock()
	}
	wait = time.Hour
	for i := range s.conns {
		if stopping {
			break
		}
		at := (s.next + i) % len(s.conns)
		l := s.conns[at].link
		if l == nil {
			continue
		}
		var due time.Time
		switch l.state {
		case awake:
			due = l.notBefore
		case asleep:
			due = l.regrabAt
		default:
			continue
		}
		if !due.IsZero() { // a connection that has just had a job may be polled at once
			if d := time.Until(due); d > 0 {
				wait = min(wait, d)
				continue
			}
		}
		if unsent == nil || unsent == l {
			if !s.w.quota.take() {
				break
			}
			s.next = at + 1
			l.state, s.asked = grabbing, l
			s.asks++
		}
		return l, 0
	}
	if unsent == nil {
		s.busy = false
	}
	return nil, wait
}

// drive polls the next connection; its response continues from there. If there is none to poll,
// drive frees the slot and returns how long to wait. The caller has made the slot busy. The job
// that has just ended, whose outcome is staged at unsent, is reported as done before another can
// start.
func (s *slot) drive(unsent *link, job *Job) (free bool, wait time.Duration) {
	for ended := job; ; ended = nil {
		l, wait := s.pick(unsent, ended)
		if unsent != nil && l != unsent {
			s.sent(job, unsent.out.Flush())
			unsent = nil
			continue
		}
		if l == nil {
			return true, wait
		}
		l.c.server.sleepers.leave(l)
		s.turn(l)
		request := grabUniq
		if l.plainGrab { // set before the link is used, or by its own response
			request = grabPlain
		}
		if unsent != nil && s.w.unobserved() && !job.exited && l.in.Buffered() == 0 {
			l.held = request // this goroutine reads next, and sends both then
			return false, 0
		}
		err := l.out.Send(request)
		if unsent != nil {
			s.sent(job, err)
			unsent = nil
		}
		if err == nil {
			return false, 0
		}
		s.mu.Lock()
		mine := s.asked == l // otherwise the link's end, or its response, has taken over
		if mine {
			s.asked, l.state = nil, broken
		}
		s.mu.Unlock()
		if mine {
			s.w.returnTicket()
		}
		if !mine {
			return false, 0
		}
	}
}

// goOn drives the slot from a reader, and wakes run if the slot becomes free.
func (s *slot) goOn(unsent *link, job *Job) {
	if free, _ := s.drive(unsent, job); free {
		s.ping()
	}
}

// sleep tells the job server that the link sleeps, which is allowed only straight after a NO_JOB.
func (s *slot) sleep(l *link) {
	s.mu.Lock()
	if s.stopping {
		l.state = awake
		s.mu.Unlock()
		return // run unregisters it
	}
	now := time.Now()
	l.sleptAt, l.regrabAt = now, s.w.regrab(now)
	all := len(l.registered) == len(s.w.order)
	s.mu.Unlock()
	if !l.c.server.sleepers.enter(l, all) {
		return
	}
	// If it fails, the connection ends and its reader reports that.
	_ = l.out.Send(func(dst []byte) []byte { return proto.AppendEmpty(dst, proto.Request, proto.TypePreSleep) })
}

// drop closes a link for a reason of the worker's own.
func (s *slot) drop(l *link, why error) {
	s.mu.Lock()
	if l.onPurpose == nil {
		l.onPurpose = why
	}
	s.mu.Unlock()
	_ = l.nc.Close() // this ends its reader
}
