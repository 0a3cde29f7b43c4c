package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
)

// bulk is the size in bytes above which a payload or a result uses a separate connection.
const bulk = 1 << 20

// route is the connection that a task's packets take.
type route struct {
	lane int
	box  *mailbox // for lane own
}

// routeOf chooses the connection. A large payload, or a function whose results have been large,
// uses a second connection beside the one for small packets. A payload or a result that is streamed
// uses a connection of its own, which can then wait for the caller.
func (c *Client) routeOf(t *Task, box *mailbox) route {
	switch {
	case box != nil && (t.PayloadFrom != nil || !t.Background && (t.OnData != nil || t.ResultTo != nil)):
		return route{lane: own, box: box}
	case len(t.Payload) > bulk, !t.Background && c.large.has(t.Function):
		return route{lane: bulks}
	}
	return route{lane: calls}
}

// functionSet holds the names of at most maxFunctions functions.
type functionSet struct {
	mu    sync.RWMutex
	names map[string]struct{}
}

const maxFunctions = 1000

func (f *functionSet) has(name string) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	_, ok := f.names[name]
	return ok
}

func (f *functionSet) add(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.names == nil {
		f.names = make(map[string]struct{})
	}
	if len(f.names) < maxFunctions {
		f.names[name] = struct{}{}
	}
}

// choose calls try with the job servers for a job, best first, until one accepts it. Job servers in
// quarantine come last. try's errors are collected; stop ends the search with its error. start is
// that of connected.
func (c *Client) choose(
	ctx context.Context, key gearman.Key, r route, start int, try func(*conn) (stop bool, err error),
) error {
	for again := false; ; again = true {
		servers, err := c.resolved(ctx)
		if err != nil {
			return err
		}
		before := c.snap.Load()
		s := search{c: c, r: r, try: try, sticky: c.o.Select == InOrder || c.o.Select == ByKey && key != ""}
		if done, err := s.run(ctx, c.ordered(servers, key, start)); done {
			return err
		}
		if after := c.snap.Load(); again || slices.Equal(before.servers, after.servers) {
			return fmt.Errorf("%w: %w", ErrNoServer, errors.Join(s.errs...))
		} // otherwise the addresses of the other IP family remain to be tried
		start = undecided
	}
}

// connected returns the open connection to the job server that a job tries first, or nil if it needs
// choose. Almost no job does, and choose costs more. start is where choose goes on, or undecided.
func (c *Client) connected(key gearman.Key, r route) (x *conn, start int) {
	servers := c.current()
	if servers == nil || r.lane == own || c.isRanked(servers, key) {
		return nil, undecided
	}
	start = c.start(len(servers))
	return c.open(servers[start], r.lane), start
}

const undecided = -1

// isRanked reports whether a job's key selects the order of the job servers.
func (c *Client) isRanked(servers []*server, key gearman.Key) bool {
	return c.o.Select == ByKey && key != "" && len(servers) > 1
}

// start returns the index of the job server that a job without a key tries first.
func (c *Client) start(n int) int {
	switch {
	case n == 1, c.o.Select == InOrder:
		return 0
	case c.o.Select == Random:
		return rand.IntN(n) //nolint:gosec // spreads load, keeps no secret
	}
	return int(c.turn.Add(1) % uint64(n)) //nolint:gosec // less than n
}

// ordered returns the job servers in the order in which a job tries them.
func (c *Client) ordered(servers []*server, key gearman.Key, start int) []*server {
	if c.isRanked(servers, key) {
		return rank(servers, key)
	}
	if start < 0 || start >= len(servers) {
		start = c.start(len(servers))
	}
	if start == 0 {
		return servers
	}
	return append(slices.Clone(servers[start:]), servers[:start]...)
}

// search is one search for a job server that accepts a job.
type search struct {
	c      *Client
	r      route
	try    func(*conn) (bool, error)
	sticky bool // the caller set the order: wait for a job server rather than pass it over
	tried  map[*server]bool
	errs   []error
}

// fallbackDelay is how long to wait for a connection before trying the next job server in parallel.
const fallbackDelay = 250 * time.Millisecond

// run tries the job servers: first those that are connected or are expected to connect, then those
// in quarantine.
func (s *search) run(ctx context.Context, order []*server) (done bool, err error) {
	for _, last := range []bool{false, true} {
		for i, at := range order {
			if s.tried[at] {
				continue
			}
			x, err := s.conn(ctx, at, last, order[i+1:])
			switch {
			case errors.Is(err, errPassedOver):
				continue
			case err != nil:
				if ctx.Err() != nil || errors.Is(err, ErrClosed) {
					return true, errors.Join(append(s.errs, err)...)
				}
				s.failed(at, err)
				continue
			}
			stop, err := s.try(x)
			if stop {
				return true, err
			}
			s.failed(at, err)
		}
	}
	return false, nil
}

func (s *search) failed(at *server, err error) {
	if s.tried == nil {
		s.tried = make(map[*server]bool)
	}
	s.tried[at] = true
	s.errs = append(s.errs, err)
}

// errPassedOver: another job server must be tried first.
var errPassedOver = errors.New("passed over")

// conn returns a connection to a job server. It waits for a job server that isn't connected only if
// the rest has nothing better.
func (s *search) conn(ctx context.Context, at *server, last bool, rest []*server) (*conn, error) {
	if s.r.lane == own {
		if !last && s.c.inQuarantine(at) {
			return nil, errPassedOver
		}
		return s.c.ownConn(ctx, at, s.r.box)
	}
	if last {
		return s.c.connect(ctx, at, s.r.lane)
	}
	if x := s.c.open(at, s.r.lane); x != nil {
		return x, nil
	}
	if s.c.inQuarantine(at) {
		return nil, errPassedOver
	}
	a, x, err := s.c.attempt(at, s.r.lane)
	if a == nil {
		return x, err
	}
	failed := s.c.hasFailed(at)
	if len(rest) == 0 || s.sticky && !failed {
		return s.c.connect(ctx, at, s.r.lane)
	}
	wait := fallbackDelay - time.Since(a.begin)
	if failed && slices.ContainsFunc(rest, func(other *server) bool { return s.c.open(other, s.r.lane) != nil }) {
		wait = 0
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-a.done:
		return a.conn, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("connect to job server %s: %w", at.ep, context.Cause(ctx))
	case <-timer.C:
		return nil, errPassedOver // the second round waits for it
	}
}

// rank sorts job servers by rendezvous hashing: each has a score for the key, so that adding or
// removing a job server moves only its own keys.
func rank(servers []*server, key gearman.Key) []*server {
	type scored struct {
		s     *server
		score uint64
	}
	all := make([]scored, len(servers))
	for i, s := range servers {
		h := fnv.New64a()
		_, _ = h.Write([]byte(s.ep.Addr)) // never fails
		_, _ = h.Write([]byte{0})
		_, _ = h.Write([]byte(key))
		all[i] = scored{s, mix(h.Sum64())}
	}
	slices.SortFunc(all, func(a, b scored) int { return cmp.Compare(b.score, a.score) })
	out := make([]*server, len(all))
	for i, a := range all {
		out[i] = a.s
	}
	return out
}

// mix spreads the bits of an FNV hash, whose high bits depend little on the last bytes (it is the
// finalizer of MurmurHash3, which is in the public domain).
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
	return s.failures > 0 && s.lanes[calls].dial == nil && time.Now().Before(s.until)
}

func (c *Client) hasFailed(s *server) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.failures > 0
}

// open returns the open connection of a lane, or nil.
func (c *Client) open(s *server, lane int) *conn {
	return s.lanes[lane].conn.Load()
}
