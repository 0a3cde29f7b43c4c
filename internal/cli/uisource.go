package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/internal/page"
)

const (
	// pollTimeout is how long a job server may take to answer the page.
	pollTimeout = 3 * time.Second
	// snapshotWait is how long a snapshot waits for job servers: a slow one must not delay the
	// others' figures.
	snapshotWait = time.Second
	// findEvery is how often the page looks again for the job servers that a name means.
	findEvery = 10 * time.Second
)

// serverSource reads job servers for the page. Each of its targets has at most one goroutine at a
// time, which close waits for.
type serverSource struct {
	ctx     context.Context // ends the polls
	cancel  context.CancelFunc
	find    func(ctx context.Context, target string) ([]Endpoint, error)
	dial    func(target string) admin.Options
	running sync.WaitGroup

	mu      sync.Mutex
	targets []*uiTarget
}

// uiTarget is a name of job servers.
type uiTarget struct {
	name string
	// busy: a goroutine owns the fields up to conns.
	busy    bool
	foundAt time.Time
	conns   []*uiConn

	// The last results; nil: none yet. The source's lock guards both.
	servers   []page.Server
	functions []admin.FunctionStatus
}

// uiConn is one job server, over a connection that stays open until an error.
type uiConn struct {
	endpoint Endpoint
	conn     *admin.Conn
	done     func()
	answer   time.Time
}

func newServerSource(
	ctx context.Context, find func(context.Context, string) ([]Endpoint, error), o *connectOptions,
	tlsConfig *tls.Config, names []string,
) *serverSource {
	s := &serverSource{find: find}
	s.ctx, s.cancel = context.WithCancel(ctx)
	timeout := min(o.timeout, pollTimeout)
	s.dial = func(target string) admin.Options {
		return admin.Options{
			TLS: tlsConfig, Timeout: timeout, ConnectTimeout: timeout, ServerName: o.serverNameOf(target),
		}
	}
	for _, name := range names {
		s.targets = append(s.targets, &uiTarget{name: name})
	}
	return s
}

// Snapshot polls all job servers. If one does not answer soon, its last figures are shown.
func (s *serverSource) Snapshot(ctx context.Context) (page.Snapshot, error) {
	asked := s.pollAll()
	timeout := time.NewTimer(snapshotWait)
	defer timeout.Stop()
	select {
	case <-asked:
	case <-timeout.C:
	case <-ctx.Done():
		return page.Snapshot{}, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := page.Snapshot{At: time.Now()}
	functions := map[string]*page.Function{}
	for _, t := range s.targets {
		out.Servers = append(out.Servers, t.servers...)
		addFunctions(functions, t.functions)
	}
	for _, f := range functions {
		out.Functions = append(out.Functions, *f)
	}
	slices.SortFunc(out.Functions, func(a, b page.Function) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func addFunctions(functions map[string]*page.Function, found []admin.FunctionStatus) {
	for _, f := range found {
		sum := functions[f.Function]
		if sum == nil {
			sum = &page.Function{Name: f.Function}
			functions[f.Function] = sum
		}
		sum.Queued = addCount(sum.Queued, f.Queued())
		sum.Running = addCount(sum.Running, uint64(max(0, f.Running)))
		sum.Workers = int32(min(addCount(int64(sum.Workers), f.Workers), math.MaxInt32)) //nolint:gosec // it fits
	}
}

// addCount adds a count of a job server to a sum of others. It can be any number, and the sum
// doesn't wrap around.
func addCount(sum int64, n uint64) int64 {
	return sum + int64(min(n, uint64(math.MaxInt64-sum))) //nolint:gosec // a sum is never below 0
}

// pollAll polls all targets that are not being polled yet. The channel is closed when these are
// done.
func (s *serverSource) pollAll() <-chan struct{} {
	var asked sync.WaitGroup
	s.mu.Lock()
	for _, t := range s.targets {
		if t.busy || s.ctx.Err() != nil {
			continue
		}
		t.busy = true
		asked.Add(1)
		s.running.Go(func() {
			defer asked.Done()
			s.poll(t)
		})
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { // ends with the goroutines above
		asked.Wait()
		close(done)
	}()
	return done
}

// poll polls the job servers of one target, all at once.
func (s *serverSource) poll(t *uiTarget) {
	ctx, cancel := context.WithTimeout(s.ctx, pollTimeout)
	defer cancel()
	var servers []page.Server
	if err := s.findAgain(ctx, t); err != nil {
		servers = append(servers, page.Server{Address: t.name, State: "NameNotFound"})
	}
	found := make([][]admin.FunctionStatus, len(t.conns))
	states := make([]string, len(t.conns))
	var all sync.WaitGroup
	for i, c := range t.conns {
		all.Go(func() {
			states[i] = "OK"
			var err error
			if found[i], err = c.status(ctx, s.dial(t.name)); err != nil {
				states[i] = "Unreachable"
			}
		})
	}
	all.Wait()
	for i, c := range t.conns {
		servers = append(servers, page.Server{Address: c.endpoint.Name, State: states[i], Answer: c.answer})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.busy, t.servers, t.functions = false, servers, slices.Concat(found...)
}

// findAgain resolves the job servers of a target again when it is due. While that fails, the former
// ones are polled.
func (s *serverSource) findAgain(ctx context.Context, t *uiTarget) error {
	if time.Since(t.foundAt) < findEvery {
		return nil
	}
	found, err := s.find(ctx, t.name)
	if err != nil {
		if len(t.conns) > 0 {
			return nil
		}
		return err
	}
	t.foundAt = time.Now()
	var conns []*uiConn
	for _, e := range found {
		i := slices.IndexFunc(t.conns, func(c *uiConn) bool { return c.endpoint.Name == e.Name })
		if i < 0 {
			conns = append(conns, &uiConn{endpoint: e})
			continue
		}
		conns = append(conns, t.conns[i])
		t.conns = slices.Delete(t.conns, i, i+1)
	}
	for _, gone := range t.conns {
		gone.close()
	}
	t.conns = conns
	return nil
}

func (c *uiConn) status(ctx context.Context, o admin.Options) ([]admin.FunctionStatus, error) {
	if c.conn == nil {
		addr, done, err := c.endpoint.open(ctx)
		if err != nil {
			return nil, err
		}
		if c.conn, err = admin.Dial(ctx, addr, o); err != nil {
			done()
			return nil, err
		}
		c.done = done
	}
	found, err := c.conn.Status(ctx)
	if err != nil {
		c.close()
		return nil, err
	}
	c.answer = time.Now()
	return found, nil
}

func (c *uiConn) close() {
	if c.conn == nil {
		return
	}
	_ = c.conn.Close() // it was only read from
	c.conn = nil
	c.done()
}

// endpoints returns all job servers, whatever the function.
func (s *serverSource) endpoints(ctx context.Context, _ string) ([]Endpoint, error) {
	var all []Endpoint
	for _, t := range s.targets {
		found, err := s.find(ctx, t.name)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// close ends the polls.
func (s *serverSource) close() {
	s.cancel()
	s.running.Wait()
	for _, t := range s.targets {
		for _, c := range t.conns {
			c.close()
		}
	}
}

// joined provides pools, and job servers beside them.
type joined struct{ pools, servers page.Source }

// Snapshot is part of page.Source.
func (j *joined) Snapshot(ctx context.Context) (page.Snapshot, error) {
	pools, err := j.pools.Snapshot(ctx)
	servers, serversErr := j.servers.Snapshot(ctx)
	if err := errors.Join(err, serversErr); err != nil {
		return page.Snapshot{}, err
	}
	// A job server's answer here is newer than its state in a pool's status.
	known := map[string]bool{}
	for _, s := range servers.Servers {
		known[s.Address] = true
	}
	pools.Servers = slices.DeleteFunc(pools.Servers, func(s page.Server) bool { return known[s.Address] })
	pools.Servers = append(servers.Servers, pools.Servers...)
	slices.SortStableFunc(pools.Servers, func(a, b page.Server) int { return cmp.Compare(a.Address, b.Address) })
	pools.Functions = servers.Functions
	return pools, nil
}
