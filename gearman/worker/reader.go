package worker

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"
)

// The goroutine that reads from a link also runs the job that it has read and asks for the next: a
// job then costs no switch between goroutines. So that the connection is read while a job takes
// long, and its loss noticed, the reading is passed on to a second goroutine after passAfter; the
// first waits for its turn when its job is done. Passing the reading on at the start of each job
// instead costs 13% to 14% of the jobs processed per second over 1, 4 and 16 connections (make
// bench-gearman, jobs worked).
const passAfter = 10 * time.Millisecond

// Values of link.role.
const (
	roleReading int32 = iota // the goroutine of the link reads, or will at once
	roleRunning              // it runs a job; the reading may be passed on
	rolePassed               // it was
)

// loop reads until the connection ends, or until another goroutine has taken the reading over and
// it has ended.
func (l *link) loop() {
	returned := false
	defer func() {
		// A handler ended the goroutine, as testing.T.FailNow does: another takes its place, unless
		// one reads already.
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
	_ = l.nc.Close() // nothing more comes
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

// awaitBaton waits to become the reader again. False: the connection has ended.
func (l *link) awaitBaton() bool {
	select {
	case <-l.baton:
		return true
	case <-l.down:
		return false
	}
}

// startJob lets the reading be passed on, at once or when the job takes long.
func (l *link) startJob(now time.Time, atOnce bool) {
	l.started.Store(now.UnixNano())
	l.role.Store(roleRunning)
	if atOnce {
		l.passOn()
		return
	}
	l.arm()
}

// arm sees to a look at the running job after passAfter. The timer isn't set for each job, which
// would cost as much as a switch of goroutines, but goes on as long as it finds one running.
func (l *link) arm() {
	if l.role.Load() == roleRunning && l.armed.CompareAndSwap(false, true) {
		l.pass.Reset(passAfter)
	}
}

func (l *link) look() {
	if l.role.Load() == roleRunning {
		age := time.Duration(time.Now().UnixNano() - l.started.Load())
		if age < passAfter {
			l.pass.Reset(passAfter - age)
			return
		}
		l.passOn()
	}
	l.armed.Store(false)
	l.arm() // for a job that began meanwhile
}

// passOn makes another goroutine the reader.
func (l *link) passOn() {
	if !l.role.CompareAndSwap(roleRunning, rolePassed) {
		return
	}
	if l.spares.Load() > 0 {
		l.spares.Add(-1)
		l.baton <- struct{}{} // has room: there is one reader, who was not waiting
		return
	}
	l.c.w.connWG.Go(l.loop)
}

// endJob says whether the reading was passed on while the job ran. exited tells that this goroutine
// is about to end.
func (l *link) endJob(exited bool) bool {
	if l.role.CompareAndSwap(roleRunning, roleReading) {
		return false
	}
	l.role.Store(roleReading) // the new reader's
	if exited {
		l.orphan.Store(true)
	} else {
		l.spares.Add(1)
	}
	return true
}

// regrab is when a connection that goes to sleep now asks again.
func (w *Worker) regrab(now time.Time) time.Time {
	return now.Add(w.o.RegrabMin + rand.N(w.o.RegrabMax-w.o.RegrabMin+1)) //nolint:gosec // spreads load, keeps no secret
}

// countedConn counts what is read.
type countedConn struct {
	net.Conn
	n atomic.Int64
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n.Add(int64(n))
	return n, err
}
