package backlog

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

const (
	doorbellID = "gearman-operator;doorbell"
	// armPause is the least time between two arms of a doorbell: a runnable job makes PRE_SLEEP ring at once, so without a pause it could ring in a loop.
	armPause = time.Second
	// armFor is how long a doorbell listens before it is armed anew, which shows whether its connection still lives.
	armFor = 30 * time.Second
)

// doorbell is a worker connection that registers functions, sleeps, and never takes a job: the server wakes it when a job comes. Guarded by Watcher.mu.
//
// It must not stand in a real worker's way. A server may wake one worker only for a job (gearmand --worker-wakeup, Perl's server), and nobody tells us which do. So it
// listens for a function only while the pool asked for it and is at zero, nobody else has registered the function, and no job of it waits; it leaves at the first ring and
// as soon as one of these ends. Functions with jobs are left out for another reason too: PRE_SLEEP on a function with a delayed and an abandoned job can
// make gearmand 1.1.20 free a job of another function of the same connection.
type doorbell struct {
	changed chan struct{} // what it should listen for may have changed
	cells   []*cell       // what it listens for
	armed   time.Time     // since when
}

// bellMayChange lets the doorbell look again at what it should listen for.
func (s *server) bellMayChange() {
	select {
	case s.bell.changed <- struct{}{}:
	default:
	}
}

// bellWanted returns what the doorbell should listen for, by name. Watcher.mu is held.
func (s *server) bellWanted() []*cell {
	var cells []*cell
	if !s.connected {
		return nil
	}
	for _, l := range s.links {
		if l.pool.sub.Doorbell && l.pool.sub.AtZero {
			for _, c := range l.cells {
				if c.known && c.total == 0 && c.workers == 0 {
					cells = append(cells, c)
				}
			}
		}
	}
	slices.SortFunc(cells, func(a, b *cell) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	return slices.Compact(cells)
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
		if !sleep(ctx, backoff-time.Since(began)) {
			return
		}
	}
}

// listen arms the doorbell and waits until it rings or should listen for something else. The poller tells what is wrong with the server, so an error says only that
// it makes no sense to try again at once.
func (s *server) listen(ctx context.Context) (rung bool, err error) {
	nc, err := s.dial(ctx)
	if err != nil {
		return false, err
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(s.w.opts.Timeout)); err != nil {
		return false, err
	}
	s.w.mu.Lock()
	cells := s.bellWanted() // what may have changed while we dialled
	s.w.mu.Unlock()
	if len(cells) == 0 {
		return false, nil
	}
	request := proto.AppendSetClientID(nil, doorbellID)
	for _, c := range cells {
		request = proto.AppendCanDo(request, c.name)
	}
	request = proto.AppendEmpty(request, proto.Request, proto.TypePreSleep)
	request = proto.AppendEcho(request, proto.Request, doorbellID)
	if _, err := nc.Write(request); err != nil {
		return false, err
	}
	conn := proto.NewConn(nc, proto.Limits{Packet: chunkSize})
	rung, err = awaitEcho(conn)
	if err != nil || rung {
		return rung, err
	}
	if err := nc.SetDeadline(time.Time{}); err != nil {
		return false, err
	}
	s.setBell(cells)
	heard := make(chan error, 1) // nil: it rang
	go func() { heard <- awaitNoop(conn) }()
	rung, err, reading := s.attend(ctx, cells, heard)
	s.setBell(nil)
	if leaveErr := s.leave(nc); err == nil {
		err = leaveErr
	}
	if reading {
		<-heard // leave has closed the connection
	}
	return rung, err
}

// attend waits for a ring, for a change of what should be listened for, or for armFor. reading says that nothing was heard.
func (s *server) attend(ctx context.Context, cells []*cell, heard <-chan error) (rung bool, err error, reading bool) {
	armed := time.NewTimer(armFor)
	defer armed.Stop()
	for {
		select {
		case err := <-heard:
			return err == nil, err, false
		case <-ctx.Done():
			return false, nil, true
		case <-armed.C:
			return false, nil, true
		case <-s.bell.changed:
			s.w.mu.Lock()
			same := slices.Equal(cells, s.bellWanted())
			s.w.mu.Unlock()
			if !same {
				return false, nil, true
			}
		}
	}
}

// leave takes the abilities back and closes the connection. On gearmand the first is enough; Perl's server goes on to wake who slept until the connection is closed.
func (s *server) leave(nc net.Conn) error {
	err := nc.SetDeadline(time.Now().Add(s.w.opts.Timeout))
	if err == nil {
		_, err = nc.Write(proto.AppendEmpty(nil, proto.Request, proto.TypeResetAbilities))
	}
	_ = nc.Close()
	return err
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

// pollNow asks for a poll at once.
func (s *server) pollNow() {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.urgent = true
	s.nextStatus = time.Now()
	s.kicked()
}

// awaitEcho reads up to the echo, and says whether a ring came before it.
func awaitEcho(conn *proto.Conn) (rung bool, err error) {
	for {
		p, err := conn.Next()
		if err != nil {
			return false, err
		}
		switch {
		case p.Type == proto.TypeNoop:
			rung = true
		case p.Type == proto.TypeEchoRes:
			return rung, nil
		default:
			return false, fmt.Errorf("%w: %s where an echo was due", errBadAnswer, p.Type)
		}
	}
}

// awaitNoop reads until it rings.
func awaitNoop(conn *proto.Conn) error {
	p, err := conn.Next()
	if err != nil {
		return err
	}
	if p.Type != proto.TypeNoop {
		return fmt.Errorf("%w: %s from a server that had nothing to say", errBadAnswer, p.Type)
	}
	return nil
}
