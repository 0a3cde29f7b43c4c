package worker

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// slot runs one job at a time. run is its goroutine; the connections' goroutines tell it what came, by the methods below, which never wait.
type slot struct {
	w    *Worker
	id   int
	wake chan struct{} // told that something below has changed

	mu       sync.Mutex
	conns    []*conn // in the order in which they are asked
	next     int     // in conns: where to look first
	stopping bool    // nothing may be asked for any more

	// Of run alone.
	unsent    *link // has an outcome staged that was not flushed
	unsentJob *Job
	timer     *time.Timer
}

func newSlot(w *Worker, id int) *slot {
	return &slot{w: w, id: id, wake: make(chan struct{}, 1)}
}

func (s *slot) ping() {
	select {
	case s.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// add takes in a connection. Slots start their rounds at different servers, so that they don't move from server to server together.
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
	if stopping {
		l.state = parked
	}
	s.mu.Unlock()
	if stopping { // it registered while the others were unregistered
		_ = l.out.Send(appendReset) // a failure ends the connection, which is all that is wanted
	}
	s.ping()
}

// linkDown takes the link away and gives the reason for its end: ours, if it was us.
func (s *slot) linkDown(c *conn, l *link, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.link = nil
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

// answer takes what the server answered to a request for a job.
func (s *slot) answer(l *link, e event, job *Job) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.state != grabbing || l.event != none {
		return errors.New("an answer to a request for a job that was not made")
	}
	l.event, l.job = e, job
	if !l.plainGrab {
		l.proven = true
	}
	s.ping()
	return nil
}

// grabRefused says whether an ERROR was the answer to the first GRAB_JOB_UNIQ, of a server that doesn't know it.
func (s *slot) grabRefused(l *link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.state != grabbing || l.event != none || l.plainGrab || l.proven {
		return false
	}
	l.plainGrab = true
	l.event = refused
	s.ping()
	return true
}

const (
	quickWakeUp  = 20 * time.Millisecond // a NOOP so soon after PRE_SLEEP was no submission, most likely
	freeWakeUps  = 2                     // of these in a row are believed
	wakeUpDelay  = 10 * time.Millisecond // then each doubles the wait before the next request
	longestDelay = time.Second
)

// wakeUp takes a NOOP. gearmand can ring at once for a job that it then doesn't give out, thousands of times a second.
func (s *slot) wakeUp(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.state != asleep {
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
	s.ping()
}

// run asks and works until the worker stops.
func (s *slot) run() {
	s.timer = time.NewTimer(time.Hour)
	defer s.timer.Stop()
	for {
		l, wait := s.pick()
		if l != s.unsent {
			s.flushUnsent()
		}
		if l == nil {
			if s.isStopping() {
				break
			}
			s.timer.Reset(wait)
			select {
			case <-s.wake:
			case <-s.timer.C:
			case <-s.w.soft:
			case <-s.w.hard:
			}
			continue
		}
		s.ask(l)
	}
	s.unregister(true)
	if s.id != 0 || s.w.o.Linger <= 0 {
		s.leave()
	}
}

func (s *slot) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.w.soft:
	case <-s.w.hard:
	default:
		return s.stopping
	}
	s.stopping = true
	return true
}

// pick chooses the next connection to ask, in turn, and reserves the slot for it; or says how long there is nothing to ask for.
func (s *slot) pick() (*link, time.Duration) {
	if s.isStopping() {
		return nil, 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return nil, 0
	}
	now := time.Now()
	wait := time.Hour
	for i := range s.conns {
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
		if d := due.Sub(now); d > 0 {
			wait = min(wait, d)
			continue
		}
		s.next = at + 1
		l.state, l.event = grabbing, none
		return l, 0
	}
	return nil, wait
}

// ask asks a server for a job, and runs it if there is one.
func (s *slot) ask(l *link) {
	for {
		grab := proto.TypeGrabJobUniq
		if l.plainGrab { // set before the link is used, or by the answer to the last round
			grab = proto.TypeGrabJob
		}
		err := l.out.Send(func(dst []byte) []byte { return proto.AppendEmpty(dst, proto.Request, grab) })
		s.unsentIsSent(err)
		if err != nil {
			<-l.down // the outbox has closed the connection
			return
		}
		e, job := s.await(l)
		switch e {
		case noJob:
			s.sleep(l)
			return
		case gotJob:
			s.work(l, job)
			return
		case refused:
			continue
		}
		return // the connection is down
	}
}

// await waits for the answer to a request for a job. A server that is silent for too long loses the connection.
func (s *slot) await(l *link) (event, *Job) {
	seen := l.read.Load()
	s.timer.Reset(s.w.o.GrabTimeout)
	for {
		s.mu.Lock()
		e, job := l.event, l.job
		if e == gotJob {
			l.state, l.working, l.job = working, job.fn, nil
		}
		if e == refused {
			l.event = none
		}
		s.mu.Unlock()
		if e != none {
			return e, job
		}
		select {
		case <-s.wake:
		case <-l.down:
			return s.lastEvent(l)
		case <-s.timer.C:
			if n := l.read.Load(); n != seen { // a large job on its way
				seen = n
				s.timer.Reset(s.w.o.GrabTimeout)
				continue
			}
			s.drop(l, errHung)
			<-l.down
			return s.lastEvent(l)
		}
	}
}

// lastEvent gives what came before the connection ended: a job is lost with it.
func (s *slot) lastEvent(l *link) (event, *Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.event == gotJob && l.job != nil {
		l.job.removeSpool()
	}
	return none, nil
}

// sleep tells the server that we sleep, which is right only straight after a NO_JOB.
func (s *slot) sleep(l *link) {
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		return // run unregisters it
	}
	now := time.Now()
	l.state, l.event, l.sleptAt = asleep, none, now
	l.regrabAt = s.w.regrab(now)
	s.mu.Unlock()
	// A failure ends the connection, of which its reader tells.
	_ = l.out.Send(func(dst []byte) []byte { return proto.AppendEmpty(dst, proto.Request, proto.TypePreSleep) })
}

// drop closes a link for a reason of ours.
func (s *slot) drop(l *link, why error) {
	s.mu.Lock()
	if l.onPurpose == nil {
		l.onPurpose = why
	}
	s.mu.Unlock()
	_ = l.nc.Close() // its reader ends by it
}
