package backlog

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

const (
	doorbellID = "gearman-operator;doorbell"
	// armPause is the least time between two arms of a doorbell: a runnable job makes PRE_SLEEP
	// ring at once, so without a pause it could ring in a loop.
	armPause = time.Second
	// armFor is how long a doorbell listens before it is armed anew, which shows whether its
	// connection still lives.
	armFor = 30 * time.Second
	// leaveTimeout is how long a server has to let the doorbell go before its connection is closed
	// all the same.
	leaveTimeout = time.Second
)

// doorbell is a worker connection that registers functions, sleeps, and never takes a job: the
// server wakes it when a job comes. Guarded by Watcher.mu.
//
// It must not stand in a real worker's way. A server may wake one worker only for a job (gearmand
// --worker-wakeup, Perl's server), and nobody tells us which do. So it listens for a function only
// while the pool asked for it and is at zero, nobody else has registered the function, and no job
// of it waits; it leaves at the first ring and as soon as one of these ends. Functions with jobs
// are left out for another reason too: PRE_SLEEP on a function with a delayed and an abandoned job
// can make gearmand 1.1.20 free a job of another function of the same connection.
type doorbell struct {
	changed chan struct{} // what it should listen for may have changed
	cells   []*cell       // what it listens for
	armed   time.Time     // since when
	round   uint64        // of looking at what it should listen for
	rung    time.Time     // when it last rang; what was known before that is no reason to listen again
}

// bellMayChange lets the doorbell look again at what it should listen for.
func (s *server) bellMayChange() {
	select {
	case s.bell.changed <- struct{}{}:
	default:
	}
}

// bellWanted returns what the doorbell should listen for, and marks it. Watcher.mu is held.
func (s *server) bellWanted() []*cell {
	s.bell.round++
	if !s.connected || s.answered.Before(s.bell.rung) {
		return nil
	}
	var cells []*cell
	for _, l := range s.links {
		if !l.pool.sub.Doorbell || !l.pool.sub.AtZero {
			continue
		}
		for _, c := range l.cells {
			if c.known && c.total == 0 && c.workers == 0 && c.wanted != s.bell.round {
				c.wanted = s.bell.round
				cells = append(cells, c)
			}
		}
	}
	return cells
}

// openDoor starts the doorbell's goroutine, which only servers have whose pools asked for it.
// Watcher.mu is held.
func (s *server) openDoor() {
	if s.stopDoor == nil {
		s.stopDoor = s.w.start(s.watchDoor)
	}
}

func (s *server) closeDoor() {
	if s.stopDoor != nil {
		s.stopDoor()
	}
}

// watchDoor arms the doorbell again and again, until ctx is done.
func (s *server) watchDoor(ctx context.Context) {
	backoff := armPause
	for ctx.Err() == nil {
		s.w.mu.Lock()
		idle := len(s.bellWanted()) == 0
		s.w.mu.Unlock()
		if idle {
			select {
			case <-ctx.Done():
			case <-s.bell.changed:
			}
			continue
		}
		began := time.Now()
		rung, err := s.listen(ctx)
		if rung {
			s.pollNow()
		}
		backoff = min(2*backoff, lastBackoff)
		if err == nil {
			backoff = armPause
		}
		if gearman.Sleep(ctx, backoff-time.Since(began)) != nil {
			return
		}
	}
}

// listen arms the doorbell and waits until it rings or should listen for something else. The poller
// tells what is wrong with the server, so an error says only that it makes no sense to try again at
// once.
func (s *server) listen(ctx context.Context) (rung bool, err error) {
	began := time.Now()
	nc, err := s.dial(ctx)
	if err != nil {
		return false, err
	}
	defer nc.Close()
	s.w.mu.Lock()
	cells := s.bellWanted() // what may have changed while we dialled
	s.w.mu.Unlock()
	if len(cells) == 0 {
		return false, nil
	}
	heard := make(chan sound, 4) // more than can come: the reader never waits
	go func() {
		defer close(heard)
		hear(proto.NewConn(nc, proto.Limits{Packet: chunkSize}), heard)
	}()
	rung, err = s.arm(nc, cells, heard)
	if err == nil && !rung {
		s.setBell(cells)
		rung, err = s.attend(ctx, cells, heard, began)
		s.setBell(nil)
	}
	if err == nil {
		err = s.leave(nc, heard)
	}
	_ = nc.Close()
	for range heard { // until the reader has ended
	}
	return rung, err
}

// arm registers the functions and goes to sleep. It may ring at once.
func (s *server) arm(nc net.Conn, cells []*cell, heard <-chan sound) (rung bool, err error) {
	request := proto.AppendSetClientID(nil, doorbellID)
	for _, c := range cells {
		request = proto.AppendCanDo(request, c.name)
	}
	request = proto.AppendEmpty(request, proto.Request, proto.TypePreSleep)
	if rung, err = s.exchange(nc, request, s.w.opts.Timeout, heard); err != nil {
		return false, err
	}
	return rung, nc.SetDeadline(time.Time{})
}

// leave takes the abilities back and waits until the server has done so, so that a poll after it
// doesn't count us as a worker. The connection must be closed afterwards: Perl's server goes on to
// wake who slept on it.
func (s *server) leave(nc net.Conn, heard <-chan sound) error {
	_, err := s.exchange(
		nc, proto.AppendEmpty(nil, proto.Request, proto.TypeResetAbilities), min(leaveTimeout, s.w.opts.Timeout), heard,
	)
	return err
}

// exchange sends packets and an echo, and waits for the echo.
func (s *server) exchange(
	nc net.Conn, request []byte, timeout time.Duration, heard <-chan sound,
) (rung bool, err error) {
	if err := nc.SetDeadline(time.Now().Add(timeout)); err != nil {
		return false, err
	}
	if _, err := nc.Write(proto.AppendEcho(request, proto.Request, doorbellID)); err != nil {
		return false, err
	}
	for h := range heard {
		if h.echo || h.err != nil {
			return rung, h.err
		}
		rung = true
	}
	return rung, nil // not reached: the reader's last word is an error
}

// sound is what a doorbell's connection brings.
type sound struct {
	echo bool // else it rang
	err  error
}

// hear reads until the connection ends or brings what it shouldn't.
func hear(conn *proto.Conn, heard chan<- sound) {
	for rings, echoes := 0, 0; ; {
		p, err := conn.Next()
		switch {
		case err != nil:
			heard <- sound{err: err}
			return
		case p.Type == proto.TypeNoop && rings < 1:
			rings++
			heard <- sound{}
		case p.Type == proto.TypeEchoRes && echoes < 2: // of arm and of leave
			echoes++
			heard <- sound{echo: true}
		default:
			heard <- sound{err: fmt.Errorf("%w: %s from a server that had nothing to say", errBadAnswer, p.Type)}
			return
		}
	}
}

// attend waits for a ring, or until it should no longer listen for one of the functions, or for
// armFor. Where it should listen for more of them it stays until it may be armed again, armPause
// after began.
func (s *server) attend(
	ctx context.Context, cells []*cell, heard <-chan sound, began time.Time,
) (rung bool, err error) {
	armed := time.NewTimer(armFor)
	defer armed.Stop()
	for {
		select {
		case h := <-heard:
			if h.echo {
				return false, fmt.Errorf("%w: an echo of nothing", errBadAnswer)
			}
			return h.err == nil, h.err
		case <-ctx.Done():
			return false, nil
		case <-armed.C:
			return false, nil
		case <-s.bell.changed:
			s.w.mu.Lock()
			wanted := len(s.bellWanted())
			leave := slices.ContainsFunc(cells, func(c *cell) bool { return c.wanted != s.bell.round })
			s.w.mu.Unlock()
			if leave {
				return false, nil
			}
			if wanted > len(cells) {
				armed.Reset(min(armFor, max(0, armPause-time.Since(began))))
			}
		}
	}
}

// setBell notes what the doorbell listens for: it counts among the workers of those functions.
func (s *server) setBell(cells []*cell) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	for _, c := range s.bell.cells {
		c.bell = false
	}
	s.bell.cells, s.bell.armed = cells, time.Now()
	for _, c := range cells {
		c.bell = true
	}
}

// pollNow asks for a poll at once: the doorbell rang.
func (s *server) pollNow() {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.urgent, s.nextStatus = true, time.Now()
	s.bell.rung = s.nextStatus
	s.kicked()
}

// awaitEcho reads up to the echo, and says whether a ring came before it.
func awaitEcho(conn *proto.Conn) (rung bool, err error) {
	for {
		p, err := conn.Next()
		if err != nil {
			return false, err
		}
		switch p.Type {
		case proto.TypeNoop:
			rung = true
		case proto.TypeEchoRes:
			return rung, nil
		default:
			return false, fmt.Errorf("%w: %s where an echo was due", errBadAnswer, p.Type)
		}
	}
}
