package backlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// Verdict is whether a job server would assign a function's backlog to a free worker.
type Verdict int

const (
	Unknown     Verdict = iota // some job servers don't answer, and no other has runnable jobs
	Runnable                   // at least one job server has a runnable job
	NotRunnable                // no job server has: all jobs are running, delayed, cancelled or abandoned
)

func (v Verdict) String() string { return [...]string{"Unknown", "Runnable", "NotRunnable"}[v] }

// Runnable checks at the pool's job servers whether a new worker would get a job of the function:
// on a separate connection it registers the function (and only it), sends PRE_SLEEP and an echo
// request. If a job is runnable, the server wakes it before it echoes. No job is taken. The probe
// also makes the server drop the function's cancelled or abandoned jobs. Job servers whose last
// answer had no queued job of the function are not probed, nor are those whose last poll was not
// answered: they make the verdict Unknown unless another has a job. The error joins the errors of
// the servers; it is nil unless the verdict is Unknown.
func (w *Watcher) Runnable(ctx context.Context, key PoolKey, function string) (Verdict, error) {
	servers, asking, silent, err := w.serversWith(key, function)
	if err != nil {
		return Unknown, err
	}
	ctx, cancel := context.WithTimeout(ctx, w.opts.Timeout)
	defer cancel()
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		runnable bool
		errs     []error
	)
	if silent != nil {
		errs = append(errs, silent)
	}
	for _, s := range servers {
		// Before a goroutine is started: hundreds of hanging job servers would need as many for
		// each function of each pool.
		if !asking.enter(ctx) {
			mu.Lock()
			errs = append(errs, fmt.Errorf("not all job servers could be probed: %w", ctx.Err()))
			mu.Unlock()
			break
		}
		wg.Go(func() {
			defer asking.leave()
			yes, err := s.runnable(ctx, function)
			mu.Lock()
			defer mu.Unlock()
			if yes && !runnable {
				runnable = true
				cancel() // the others' answers don't matter any more
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("job server %s: %w", s.key.addr, err))
			}
		})
	}
	wg.Wait()
	switch {
	case runnable:
		return Runnable, nil
	case len(errs) > 0:
		return Unknown, errors.Join(errs...)
	}
	return NotRunnable, nil
}

// serversWith returns the job servers of a pool that may have queued jobs of a function, and the
// lane for their probes. silent is the error of a server that is not probed.
func (w *Watcher) serversWith(key PoolKey, function string) (servers []*server, asking lane, silent, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.pools[key]
	if p == nil {
		return nil, nil, nil, fmt.Errorf("pool %s is not watched", key)
	}
	i := slices.Index(p.functions, function)
	if i < 0 {
		return nil, nil, nil, fmt.Errorf("pool %s: function %q is not watched", key, function)
	}
	for _, l := range p.links {
		if l.srv != nil && !l.srv.connected {
			silent = fmt.Errorf("job server %s: %w", l.srv.key.addr, errSilent)
			continue
		}
		if l.srv != nil && (!l.cells[i].known || l.cells[i].total > l.cells[i].running) {
			servers = append(servers, l.srv)
		}
	}
	return servers, p.tenant.probes, silent, nil
}

var errSilent = errors.New("its last poll was not answered")

const probeID = "gearman-operator;probe"

// runnable probes one server. Everything is sent in one write, so that the connection sleeps only
// until the server reads the next packet: a job submitted meanwhile might ring here and, on a
// server that wakes only one worker, nowhere else.
func (s *server) runnable(ctx context.Context, function string) (bool, error) {
	if !s.probes.enter(ctx) {
		return false, ctx.Err()
	}
	defer s.probes.leave()
	nc, err := s.dial(ctx)
	if err != nil {
		return false, err
	}
	defer nc.Close()
	request := proto.AppendSetClientID(nil, probeID)
	request = proto.AppendCanDo(request, function)
	request = proto.AppendEmpty(request, proto.Request, proto.TypePreSleep)
	request = proto.AppendEcho(request, proto.Request, probeID)
	request = proto.AppendEmpty(request, proto.Request, proto.TypeResetAbilities)
	rung := false
	conn := proto.NewConn(nc, proto.Limits{Packet: chunkSize})
	err = conn.Exchange(ctx, request, func(conn *proto.Conn) error {
		rung, err = awaitEcho(conn)
		return err
	})
	return rung, err
}
