package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/internal/transport"
)

// server is one job server. Client.mu guards it.
type server struct {
	ep       transport.Endpoint
	conn     *conn    // open, or nil
	dial     *attempt // under way, or nil
	failures int      // in a row
	until    time.Time
}

// attempt is a connection being opened, for which any number of callers wait.
type attempt struct {
	done chan struct{} // closed when conn and err are set
	conn *conn
	err  error
}

// snapshot is what the servers' names stood for at a time.
type snapshot struct {
	servers []*server
	at      time.Time
	fixed   bool // only IP addresses: nothing to look up again
}

type lookup struct {
	done chan struct{}
	err  error
}

// resolved gives the job servers, in the order of Options.Servers. Names are looked up once in a while, one caller for all; if that fails, what
// was known before is used on.
func (c *Client) resolved(ctx context.Context) ([]*server, error) {
	snap := c.snap.Load()
	if snap != nil && (snap.fixed || time.Since(snap.at) < c.o.ResolveInterval) {
		return snap.servers, nil
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, ErrClosed
	}
	l := c.lookup
	if l == nil {
		l = &lookup{done: make(chan struct{})}
		c.lookup = l
		c.wg.Go(func() { c.resolve(l) })
	}
	c.mu.Unlock()
	if snap != nil {
		return snap.servers, nil // the answer is for later calls
	}
	select {
	case <-l.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("resolve job servers: %w", context.Cause(ctx))
	}
	if snap = c.snap.Load(); snap != nil {
		return snap.servers, nil
	}
	return nil, l.err
}

func (c *Client) resolve(l *lookup) {
	ctx, cancel := context.WithTimeout(c.ctx, max(c.o.ConnectTimeout, 5*time.Second))
	defer cancel()
	var endpoints []transport.Endpoint
	var errs []error
	fixed := true
	for _, a := range c.addresses {
		found, err := transport.Resolve(ctx, c.o.Resolver, a)
		if err != nil {
			errs = append(errs, err)
		}
		for _, ep := range found {
			if !slices.Contains(endpoints, ep) {
				endpoints = append(endpoints, ep)
			}
		}
		if _, err := netip.ParseAddr(a.Host); err != nil {
			fixed = false
		}
	}
	if err := errors.Join(errs...); err != nil {
		c.o.Logger.Warn("Job server names don't all resolve", "error", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lookup = nil
	old := c.snap.Load()
	switch {
	case len(endpoints) == 0 && old == nil:
		l.err = fmt.Errorf("%w: %w", ErrNoServer, errors.Join(errs...))
	case len(errs) > 0 && old != nil: // half an answer doesn't replace a whole one
		c.snap.Store(&snapshot{servers: old.servers, at: time.Now()})
	default:
		snap := &snapshot{at: time.Now(), fixed: fixed}
		for _, ep := range endpoints {
			s := c.servers[ep]
			if s == nil {
				s = &server{ep: ep}
				c.servers[ep] = s
			}
			snap.servers = append(snap.servers, s)
		}
		c.snap.Store(snap)
	}
	close(l.done)
}

// serverOf finds the server of a job by its address, which may have left its name since.
func (c *Client) serverOf(ctx context.Context, addr string) (*server, error) {
	if _, err := c.resolved(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.servers {
		if s.ep.Addr == addr {
			return s, nil
		}
	}
	return nil, fmt.Errorf("%w: %s is not one of this client's job servers", ErrNoServer, addr)
}

// choose calls try with the servers for a job, best first, until it takes one: those in quarantine only if all others have failed.
// try's errors are collected; stop ends the search with its error.
func (c *Client) choose(ctx context.Context, unique string, try func(*conn) (stop bool, err error)) error {
	servers, err := c.resolved(ctx)
	if err != nil {
		return err
	}
	if unique != "" && c.o.Select == ByUnique {
		servers = rank(servers, unique)
	}
	n := len(servers)
	start := 0
	switch {
	case n == 1, c.o.Select == InOrder, c.o.Select == ByUnique && unique != "":
	case c.o.Select == Random:
		start = rand.IntN(n)
	default:
		start = int(c.turn.Add(1) % uint64(n))
	}
	var errs []error
	for _, quarantined := range []bool{false, true} {
		for i := range n {
			s := servers[(start+i)%n]
			conn := c.open(s)
			if conn == nil {
				if c.inQuarantine(s) != quarantined || quarantined && tried(errs, s) {
					continue
				}
				if conn, err = c.connect(ctx, s); err != nil {
					if ctx.Err() != nil || errors.Is(err, ErrClosed) {
						return errors.Join(append(errs, err)...)
					}
					errs = append(errs, &serverError{s, err})
					continue
				}
			} else if quarantined {
				continue // the first round had it
			}
			stop, err := try(conn)
			if stop {
				return err
			}
			errs = append(errs, &serverError{s, err})
		}
	}
	return fmt.Errorf("%w: %w", ErrNoServer, errors.Join(errs...))
}

// serverError remembers which server an error is of.
type serverError struct {
	s   *server
	err error
}

func (e *serverError) Error() string { return e.err.Error() }
func (e *serverError) Unwrap() error { return e.err }

func tried(errs []error, s *server) bool {
	return slices.ContainsFunc(errs, func(err error) bool {
		var se *serverError
		return errors.As(err, &se) && se.s == s
	})
}

// rank sorts servers by rendezvous hashing: each has a score for the key, so that a server that comes or goes moves only its own keys.
func rank(servers []*server, unique string) []*server {
	type scored struct {
		s     *server
		score uint64
	}
	all := make([]scored, len(servers))
	for i, s := range servers {
		h := fnv.New64a()
		_, _ = h.Write([]byte(s.ep.Addr)) // never fails
		_, _ = h.Write([]byte{0})
		_, _ = h.Write([]byte(unique))
		all[i] = scored{s, mix(h.Sum64())}
	}
	slices.SortFunc(all, func(a, b scored) int { return cmp.Compare(b.score, a.score) })
	out := make([]*server, len(all))
	for i, a := range all {
		out[i] = a.s
	}
	return out
}

// mix spreads the bits of an FNV hash, whose high ones depend little on the last bytes (the finalizer of MurmurHash3, in the public domain).
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

func (c *Client) inQuarantine(s *server) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.dial == nil && time.Now().Before(s.until)
}

// open gives the server's open connection, or nil.
func (c *Client) open(s *server) *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.conn
}

// connect gives the server's connection, opened if need be by one caller for all.
func (c *Client) connect(ctx context.Context, s *server) (*conn, error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, fmt.Errorf("job server %s: %w", s.ep, ErrClosed)
	}
	if s.conn != nil {
		defer c.mu.Unlock()
		return s.conn, nil
	}
	a := s.dial
	if a == nil {
		a = &attempt{done: make(chan struct{})}
		s.dial = a
		c.wg.Go(func() { c.dialAndServe(s, a) })
	}
	c.mu.Unlock()
	select {
	case <-a.done:
		return a.conn, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("connect to job server %s: %w", s.ep, context.Cause(ctx))
	}
}

// dialAndServe opens a connection and reads from it until it ends. It is the connection's goroutine.
func (c *Client) dialAndServe(s *server, a *attempt) {
	start := time.Now()
	nc, err := c.dialer.Connect(c.ctx, s.ep)
	c.mu.Lock()
	s.dial = nil
	if err != nil {
		s.failures++
		s.until = time.Now().Add(c.backoff.Delay(s.failures))
		if c.closed {
			err = fmt.Errorf("job server %s: %w", s.ep, ErrClosed)
		}
	} else {
		s.failures, s.until = 0, time.Time{}
		s.conn = newConn(c, s, nc)
	}
	conn := s.conn
	c.mu.Unlock()
	if err != nil {
		a.err = err
		close(a.done)
		c.o.Logger.Warn("Job server can't be reached", "server", s.ep.String(), "error", err)
		if f := c.o.Hooks.ConnDown; f != nil {
			f(s.ep.Addr, err)
		}
		return
	}
	if f := c.o.Hooks.ConnUp; f != nil {
		f(s.ep.Addr, time.Since(start))
	}
	a.conn = conn
	conn.greet()
	close(a.done)
	stop := context.AfterFunc(c.ctx, func() { _ = nc.Close() }) // the reader below ends by it
	defer stop()
	err = conn.readAll()
	c.mu.Lock()
	s.conn = nil
	if c.closed {
		err = ErrClosed
	}
	c.mu.Unlock()
	conn.fail(err)
	if errors.Is(err, ErrClosed) {
		err = nil
	} else {
		c.o.Logger.Warn("Job server connection is down", "server", s.ep.String(), "error", err)
	}
	if f := c.o.Hooks.ConnDown; f != nil {
		f(s.ep.Addr, err)
	}
}
