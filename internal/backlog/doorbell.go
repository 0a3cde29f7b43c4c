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
	// armFor is how long a doorbell listens before it is armed again, which shows whether its
	// connection is still alive.
	armFor = 30 * time.Second
	// leaveTimeout is how long a server may take to confirm that the doorbell has unregistered
	// before its connection is closed anyway.
	leaveTimeout = time.Second
)

// doorbell is a worker connection that registers functions, sleeps, and never takes a job: the
// server wakes it when a job arrives. Guarded by Watcher.mu.
//
// It must not delay a real worker. Some servers wake only one worker for a job (gearmand
// --worker-wakeup, Perl's server), and they don't report it. So it listens for a function only
// while the pool has a doorbell and is at zero, no other worker has registered the function, and
// none of its jobs is queued; it unregisters at the first ring and as soon as one of these changes.
// Functions with jobs are left out for another reason too: PRE_SLEEP on a function with a delayed
// and an abandoned job can make gearmand 1.1.20 free a job of another function of the same
// connection.
type doorbell struct {
	changed chan struct{} // the functions that it should listen for may have changed
	cells   []*cell       // what it listens for
	armed   time.Time     // when it was last armed
	round   uint64        // number of the last check of what it should listen for
	rung    time.Time     // when it last rang; figures from before that are no reason to listen again
}

// updateBell makes the doorbell check again what it should listen for.
func (s *server) updateBell() {
	select {
	case s.bell.changed <- struct{}{}:
	default:
	}
}

// wantedCells returns what the doorbell should listen for, and marks it. Watcher.mu is held.
func (s *server) wantedCells() []*cell {
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

// startDoorbell starts the doorbell's goroutine, only for servers whose pools have a doorbell.
// Watcher.mu is held.
func (s *server) startDoorbell() {
	if s.cancelDoorbell == nil {
		s.cancelDoorbell = s.w.start(s.runDoorbell)
	}
}

func (s *server) stopDoorbell() {
	if s.cancelDoorbell != nil {
		s.cancelDoorbell()
	}
}

// runDoorbell arms the doorbell periodically, until ctx is done.
func (s *server) runDoorbell(ctx context.Context) {
	backoff := armPause
	for ctx.Err() == nil {
		s.w.mu.Lock()
		idle := len(s.wantedCells()) == 0
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
// reports problems of the server, so an error only means that an immediate retry is useless.
func (s *server) listen(ctx context.Context) (rung bool, err error) {
	began := time.Now()
	nc, err := s.dial(ctx)
	if err != nil {
		return false, err
	}
	defer nc.Close()
	s.w.mu.Lock()
	cells := s.wantedCells() // it may have changed during the dial
	s.w.mu.Unlock()
	if len(cells) == 0 {
		return false, nil
	}
	events := make(chan bellEvent, 4) // more than can arrive: the reader never blocks
	go func() {
		defer close(events)
		readBell(proto.NewConn(nc, proto.Limits{Packet: chunkSize}), events)
	}()
	rung, err = s.arm(nc, cells, events)
	if err == nil && !rung {
		s.setBell(cells)
		rung, err = s.awaitRing(ctx, cells, events, began)
		s.setBell(nil)
	}
	if err == nil {
		err = s.unregister(nc, events)
	}
	_ = nc.Close()
	for range events { // until the reader has ended
	}
	return rung, err
}

// arm registers the functions and sends PRE_SLEEP. It may ring at once.
func (s *server) arm(nc net.Conn, cells []*cell, events <-chan bellEvent) (rung bool, err error) {
	request := proto.AppendSetClientID(nil, doorbellID)
	for _, c := range cells {
		request = proto.AppendCanDo(request, c.name)
	}
	request = proto.AppendEmpty(request, proto.Request, proto.TypePreSleep)
	if rung, err = s.exchange(nc, request, s.w.opts.Timeout, events); err != nil {
		return false, err
	}
	return rung, nc.SetDeadline(time.Time{})
}

// unregister resets the abilities and waits until the server has done so, so that a later poll
// doesn't count the doorbell as a worker. The connection must be closed afterwards: Perl's server
// still wakes connections that slept on it.
func (s *server) unregister(nc net.Conn, events <-chan bellEvent) error {
	_, err := s.exchange(
		nc, proto.AppendEmpty(nil, proto.Request, proto.TypeResetAbilities), min(leaveTimeout, s.w.opts.Timeout),
		events,
	)
	return err
}

// exchange sends packets and an echo, and waits for the echo.
func (s *server) exchange(
	nc net.Conn, request []byte, timeout time.Duration, events <-chan bellEvent,
) (rung bool, err error) {
	if err := nc.SetDeadline(time.Now().Add(timeout)); err != nil {
		return false, err
	}
	if _, err := nc.Write(proto.AppendEcho(request, proto.Request, doorbellID)); err != nil {
		return false, err
	}
	for h := range events {
		if h.echo || h.err != nil {
			return rung, h.err
		}
		rung = true
	}
	return rung, nil // not reached: the reader's last event is an error
}

// bellEvent is an event on a doorbell's connection.
type bellEvent struct {
	echo bool // otherwise it rang
	err  error
}

// readBell reads until the connection ends or sends an unexpected packet.
func readBell(conn *proto.Conn, events chan<- bellEvent) {
	for rings, echoes := 0, 0; ; {
		p, err := conn.Next()
		switch {
		case err != nil:
			events <- bellEvent{err: err}
			return
		case p.Type == proto.TypeNoop && rings < 1:
			rings++
			events <- bellEvent{}
		case p.Type == proto.TypeEchoRes && echoes < 2: // of arm and of unregister
			echoes++
			events <- bellEvent{echo: true}
		default:
			events <- bellEvent{err: fmt.Errorf("%w: unexpected %s from a job server without a request", errBadAnswer, p.Type)}
			return
		}
	}
}

// awaitRing waits for a ring, or until it should no longer listen for one of the functions, or for
// armFor. If it should listen for more of them it stays until it may be armed again, armPause after
// began.
func (s *server) awaitRing(
	ctx context.Context, cells []*cell, events <-chan bellEvent, began time.Time,
) (rung bool, err error) {
	armed := time.NewTimer(armFor)
	defer armed.Stop()
	for {
		select {
		case h := <-events:
			if h.echo {
				return false, fmt.Errorf("%w: an echo without a request", errBadAnswer)
			}
			return h.err == nil, h.err
		case <-ctx.Done():
			return false, nil
		case <-armed.C:
			return false, nil
		case <-s.bell.changed:
			s.w.mu.Lock()
			wanted := len(s.wantedCells())
			unregister := slices.ContainsFunc(cells, func(c *cell) bool { return c.wanted != s.bell.round })
			s.w.mu.Unlock()
			if unregister {
				return false, nil
			}
			if wanted > len(cells) {
				armed.Reset(min(armFor, max(0, armPause-time.Since(began))))
			}
		}
	}
}

// setBell records what the doorbell listens for: it counts among the workers of those functions.
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

// pollNow triggers a poll at once: the doorbell rang.
func (s *server) pollNow() {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.urgent, s.nextStatus = true, time.Now()
	s.bell.rung = s.nextStatus
	s.wakePoller()
}

// awaitEcho reads up to the echo, and reports whether a ring came before it.
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
			return false, fmt.Errorf("%w: %s where an echo was expected", errBadAnswer, p.Type)
		}
	}
}
