package worker

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"
)

// The goroutine that reads from a link also runs the job that it has read and requests the next
// one: a job then costs no switch between goroutines. If a job takes longer than passAfter or up to
// twice that, the reading is passed on to a second goroutine, so that the loss of the connection is
// detected. The first goroutine waits for its turn when its job is done. Passing the reading on at
// the start of each job instead would cost more than a tenth of the jobs processed per second (make
// bench-gearman, jobs worked).
const passAfter = 10 * time.Millisecond

// Values of link.role.
const (
	roleReading int32 = iota // the link's goroutine reads, or will at once
	roleRunning              // it runs a job; the reading may be passed on
	rolePassed               // the reading was passed on
)

// loop reads until the connection ends, or until another goroutine has taken over the reading and
// the connection has ended.
func (l *link) loop() {
	returned := false
	defer func() {
		// A handler ended the goroutine, as testing.T.FailNow does. Another one replaces it, unless
		// one is already reading.
		if !returned && !l.orphan.Swap(false) {
			l.c.w.connWG.Go(l.loop)
		}
	}()
	for {
		err := l.readOne()
		if errors.Is(err, errPassed) {
			if l.awaitBaton() {
				continue
			}
			break
		}
		if err != nil {
			l.end(err)
			break
		}
	}
	returned = true
}

// errPassed tells loop that another goroutine reads now.
var errPassed = errors.New("the reading was passed on")

func (l *link) end(err error) {
	if errors.Is(err, io.EOF) {
		err = errors.New("the server closed the connection")
	}
	_ = l.nc.Close() // nothing more will come
	l.err = fmt.Errorf("job server %s: %w", l.c.server.ep, err)
	close(l.down)
}

// isDown reports whether the connection is known to have ended.
func (l *link) isDown() bool {
	select {
	case <-l.down:
		return true
	default:
		return false
	}
}

// awaitBaton waits to become the reader again. It returns false if the connection has ended.
func (l *link) awaitBaton() bool {
	select {
	case <-l.baton:
		return true
	case <-l.down:
		return false
	}
}

// startJob allows the reading to be passed on, at once or when the job takes long.
func (l *link) startJob(atOnce bool) {
	l.role.Store(roleRunning)
	if atOnce {
		l.passOn()
	}
	l.c.w.watch()
}

// watch makes sure that look is called. Starting a timer for each job would cost as much as a
// switch of goroutines, so there is one for all slots, which goes on as long as it finds a job.
func (w *Worker) watch() {
	if !w.watching.Load() && w.watching.CompareAndSwap(false, true) {
		w.lookAgain.Reset(passAfter)
	}
}

// look passes the reading on where it is time.
func (w *Worker) look() {
	if w.lookAtJobs() {
		w.lookAgain.Reset(passAfter)
		return
	}
	w.watching.Store(false)
	if w.lookAtJobs() { // a job that began meanwhile may not have called for another look
		w.watch()
	}
}

// lookAtJobs passes the reading on where the same job ran at the last look. It reports whether
// there are other jobs.
func (w *Worker) lookAtJobs() (others bool) {
	now := w.clock()
	for _, s := range w.slots {
		others = s.lookAtJob(now) || others
	}
	return others
}

func (s *slot) lookAtJob(now time.Duration) (isNew bool) {
	s.mu.Lock()
	l := s.running
	isNew = l != nil && s.seen != s.asks
	if isNew {
		s.seen, s.seenSince = s.asks, now-passAfter
	}
	s.mu.Unlock()
	if l == nil || l.role.Load() != roleRunning {
		return false
	}
	if !isNew {
		l.passOn()
	}
	return isNew
}

// passOn makes another goroutine the reader.
func (l *link) passOn() {
	if !l.role.CompareAndSwap(roleRunning, rolePassed) {
		return
	}
	if l.spares.Load() > 0 {
		l.spares.Add(-1)
		l.baton <- struct{}{} // there is room: there is one reader, and it was not waiting
		return
	}
	l.c.w.connWG.Go(l.loop)
}

// endJob reports whether the reading was passed on while the job ran. exited means that this
// goroutine is about to end.
func (l *link) endJob(exited bool) bool {
	if l.role.CompareAndSwap(roleRunning, roleReading) {
		return false
	}
	l.role.Store(roleReading) // the new reader's role
	if exited {
		l.orphan.Store(true)
	} else {
		l.spares.Add(1)
	}
	return true
}

// regrab returns when a connection that goes to sleep now polls again.
func (w *Worker) regrab(now time.Time) time.Time {
	return now.Add(w.o.RegrabMin + rand.N(w.o.RegrabMax-w.o.RegrabMin+1)) //nolint:gosec // spreads load, keeps no secret
}

// source is what the reading goroutine reads from: the link's connection. It counts the bytes.
type source struct {
	net.Conn
	l *link
}

func (s *source) Read(p []byte) (n int, err error) {
	if request := s.l.held; request != nil {
		s.l.held = nil
		n, err = s.l.out.SendAndRead(request, p)
	} else {
		n, err = s.Conn.Read(p)
	}
	s.l.read.Add(int64(n))
	return n, err
}
