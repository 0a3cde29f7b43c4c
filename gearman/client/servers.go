package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
)

// server is one job server. Client.mu guards it.
type server struct {
	ep       gearman.Endpoint
	lanes    [2]lane
	idle     []*conn // of callers' own, for reuse
	failures int     // consecutive
	until    time.Time
	retry    time.Time // when it may be tried before until, if no other job server is left
	err      error     // of the last failure
}

// lane is a connection that several calls share.
type lane struct {
	conn atomic.Pointer[conn] // open, or nil; read without the mutex
	dial *attempt             // under way, or nil
}

// Lanes of a job server.
const (
	calls = iota // small packets
	bulks        // large packets, so that small ones don't wait behind them
	own          // not a lane: a caller's own connection
)

// attempt is an attempt to open a connection, which any number of callers wait for.
type attempt struct {
	begin time.Time
	done  chan struct{} // closed when conn and err are set
	conn  *conn
	err   error
}

func (s *server) hookConn(took time.Duration) Conn {
	return Conn{Server: s.ep.Addr, Host: s.ep.Name, Took: took}
}

func (s *server) isOpenLocked() bool {
	return s.lanes[calls].conn.Load() != nil || s.lanes[bulks].conn.Load() != nil
}

// lastResort is how long a job server that failed is not tried while no other can be reached; calls
// then end with its last error.
const lastResort = time.Second

// failedLocked records a failure, and how long to pass the job server over.
func (s *server) failedLocked(err error, backoff gearman.Backoff) {
	s.failures++
	s.err = err
	d := backoff.Delay(s.failures)
	s.until = time.Now().Add(d)
	s.retry = time.Now().Add(min(d, lastResort))
}

// connect returns the job server's connection of a lane. If it isn't open, one caller opens it for
// all. Shortly after a failure it fails at once, with the same error.
func (c *Client) connect(ctx context.Context, s *server, in int) (*conn, error) {
	a, conn, err := c.attempt(s, in)
	if a == nil {
		return conn, err
	}
	select {
	case <-a.done:
		return a.conn, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("connect to job server %s: %w", s.ep, context.Cause(ctx))
	}
}

// attempt returns a lane's open connection, or the attempt to open it, or the reason why there is
// neither.
func (c *Client) attempt(s *server, in int) (*attempt, *conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, fmt.Errorf("job server %s: %w", s.ep, ErrClosed)
	}
	var l *lane // nil for a caller's own connection
	if in != own {
		l = &s.lanes[in]
		if x := l.conn.Load(); x != nil {
			return nil, x, nil
		}
		if l.dial != nil {
			return l.dial, nil, nil
		}
	}
	if s.failures > 0 && time.Now().Before(s.retry) {
		return nil, nil, s.err
	}
	a := &attempt{begin: time.Now(), done: make(chan struct{})}
	if l != nil {
		l.dial = a
	}
	c.wg.Go(func() { c.dialAndServe(s, l, a) })
	return a, nil, nil
}

// dialAndServe opens a connection and reads from it until it ends. It is the connection's
// goroutine.
func (c *Client) dialAndServe(s *server, l *lane, a *attempt) {
	start := time.Now()
	nc, err := c.dialer.Connect(c.ctx, s.ep)
	var conn *conn
	if err == nil {
		conn = newConn(c, s, nc)
		conn.own = l == nil
		conn.greet()
	}
	c.mu.Lock()
	if l != nil {
		l.dial = nil
		l.conn.Store(conn)
	}
	switch {
	case err != nil && c.closed:
		err = fmt.Errorf("job server %s: %w", s.ep, ErrClosed)
	case err != nil:
		s.failedLocked(err, c.backoff)
		c.otherFamilyLocked()
	}
	c.mu.Unlock()
	if err != nil {
		a.err = err
		close(a.done)
		c.o.Logger.Warn("Job server can't be reached", "server", s.ep.String(), "error", err)
		c.hooks.down(c.o.Hooks, s.hookConn(time.Since(start)), err)
		return
	}
	conn.took = time.Since(start)
	c.hooks.up(c.o.Hooks, s.hookConn(conn.took))
	a.conn = conn
	close(a.done)
	c.serve(s, l, conn)
}

// serve reads from a connection until it ends.
func (c *Client) serve(s *server, l *lane, x *conn) {
	stop := context.AfterFunc(c.ctx, func() { _ = x.nc.Close() }) // this ends the reader below
	defer stop()
	var writing sync.WaitGroup
	writing.Go(x.out.run)
	err := x.reason(x.readAll())
	c.mu.Lock()
	if l != nil {
		l.conn.Store(nil)
	}
	s.idle = slices.DeleteFunc(s.idle, func(other *conn) bool { return other == x })
	planned := c.closed || x.isGivenUp()
	switch {
	case c.closed:
		err = ErrClosed
	case planned: // given up by the caller that owned it
		err = errGivenUp
	case x.isProven():
		s.failures, s.until, s.retry = 0, time.Time{}, time.Time{}
	default: // a job server that accepts connections and never responds is treated as unreachable
		s.failedLocked(fmt.Errorf("job server %s: %w", s.ep, err), c.backoff)
		c.otherFamilyLocked()
	}
	if planned { // reported before another connection can replace this one
		c.hooks.down(c.o.Hooks, s.hookConn(x.took), nil)
	} else {
		c.hooks.down(c.o.Hooks, s.hookConn(x.took), err)
	}
	c.mu.Unlock()
	x.fail(err)
	writing.Wait()
	if !planned {
		c.o.Logger.Warn("Job server connection is down", "server", s.ep.String(), "error", err)
	}
}

// errGivenUp is why a connection ended that its caller no longer needed.
var errGivenUp = errors.New("the connection is no longer needed")

// maxIdle is how many callers' own connections are kept for reuse, at each job server.
const maxIdle = 2

// ownConn returns a connection that carries the calls of one mailbox only.
func (c *Client) ownConn(ctx context.Context, s *server, box *mailbox) (*conn, error) {
	if x := box.own[s]; x != nil && x.isUsable() {
		return x, nil
	}
	c.mu.Lock()
	var x *conn
	for x == nil && len(s.idle) > 0 {
		x = s.idle[len(s.idle)-1]
		s.idle = s.idle[:len(s.idle)-1]
		if !x.isUsable() {
			x = nil
		}
	}
	c.mu.Unlock()
	if x == nil {
		var err error
		if x, err = c.connect(ctx, s, own); err != nil {
			return nil, err
		}
	}
	box.keepOwn(s, x)
	return x, nil
}

// release ends the use of a mailbox. Its own connections are kept for reuse if nothing is
// outstanding on them. Otherwise they are closed, which makes the job server drop their jobs.
func (c *Client) release(box *mailbox) {
	if box.own == nil {
		return
	}
	close(box.left)
	for s, x := range box.own {
		c.mu.Lock()
		keep := len(s.idle) < maxIdle && !c.closed && x.idle()
		if keep {
			s.idle = append(s.idle, x)
		}
		c.mu.Unlock()
		if !keep {
			x.giveUp()
		}
	}
}
