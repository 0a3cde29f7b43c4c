package worker

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// server is one job server, at an address that a name resolved to. Worker.mu guards it.
type server struct {
	ep         gearman.Endpoint
	gone       bool   // no longer among its name's addresses: lost connections aren't reopened
	present    []bool // by slot: whether it has a connection's goroutine
	sleepers   sleepers
	registered int
	// epoch counts how often the last remaining connection was lost: the job server may have
	// restarted then.
	epoch      atomic.Uint64
	reconnects uint64
	version    proto.Version
	lastErr    error
}

func (s *server) status() ServerStatus {
	return ServerStatus{
		Server: s.ep.Addr, Host: s.ep.Name, Version: s.version.Text,
		Registered: s.registered, Reconnects: s.reconnects, LastError: s.lastErr,
	}
}

// follow periodically resolves the job servers' names, independently of each other, and opens
// connections to new addresses. A job server that is no longer among its name's addresses is kept
// as long as its connections live, since its queue may still hold jobs.
func (w *Worker) follow(ctx context.Context) {
	var names sync.WaitGroup
	for _, a := range w.addresses {
		names.Go(func() { w.followName(ctx, a) })
	}
	names.Wait()
}

// familyRetry is how long the addresses of one IP family are tried before those of the other are.
const familyRetry = 2 * time.Second

func (w *Worker) followName(ctx context.Context, a gearman.Address) {
	failures := 0
	other := false // the addresses of the other IP family are in use
	var used []gearman.Endpoint
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		case <-w.soft:
			return
		}
		lookup, cancel := context.WithTimeout(ctx, w.o.ConnectTimeout)
		found, err := gearman.Resolve(lookup, w.o.Resolver, a)
		cancel()
		wait := w.o.ResolveInterval
		if err != nil {
			// A failed lookup is not an empty result: keep the known addresses.
			failures++
			wait = min(wait, w.backoff.Delay(failures))
			if ctx.Err() == nil {
				w.o.Logger.Warn("Job server name does not resolve", "server", a.String(), "error", err, "retryIn", wait)
			}
		} else {
			failures = 0
			if len(found.Other) > 0 && w.noneReached(used) {
				other = !other
			}
			used = found.First
			if other && len(found.Other) > 0 {
				used = found.Other
			}
			w.update(a, used)
			if len(found.Other) > 0 && !w.isReached(used) {
				wait = min(wait, familyRetry)
			}
		}
		timer.Reset(wait)
	}
}

// isReached reports whether any of these job servers has a connection.
func (w *Worker) isReached(endpoints []gearman.Endpoint) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(
		endpoints, func(ep gearman.Endpoint) bool { return w.servers[ep] != nil && w.servers[ep].registered > 0 },
	)
}

// noneReached reports whether all of these job servers were tried and none could be reached.
func (w *Worker) noneReached(endpoints []gearman.Endpoint) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(endpoints) > 0 && !slices.ContainsFunc(endpoints, func(ep gearman.Endpoint) bool {
		s := w.servers[ep]
		return s == nil || s.registered > 0 || s.lastErr == nil
	})
}

// update applies the addresses that a name has now.
func (w *Worker) update(a gearman.Address, endpoints []gearman.Endpoint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopping {
		return
	}
	for ep, s := range w.servers {
		if ep.Name == a.Host && samePort(ep.Addr, a) && !slices.Contains(endpoints, ep) && !s.gone {
			s.gone = true
			w.o.Logger.Info("Job server's name no longer resolves to it, kept while connected", "server", ep.String())
		}
	}
	for _, ep := range endpoints {
		s := w.servers[ep]
		if s == nil {
			s = &server{ep: ep, present: make([]bool, len(w.slots))}
			w.servers[ep] = s
			w.moverFor(s)
		}
		s.gone = false
		for i, slot := range w.slots {
			if s.present[i] {
				continue
			}
			s.present[i] = true
			c := &conn{w: w, slot: slot, server: s}
			slot.add(c)
			w.connWG.Go(c.run)
		}
	}
}

func samePort(addr string, a gearman.Address) bool {
	own := a.String()
	return addr[strings.LastIndexByte(addr, ':'):] == own[strings.LastIndexByte(own, ':'):]
}

// leaving reports whether a connection that has ended should stay closed. If so, it removes the
// connection from its job server and slot.
func (w *Worker) leaving(c *conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	stopping := w.stopping
	select {
	case <-w.soft:
		stopping = true
	default:
	}
	if !c.server.gone && !stopping {
		return false
	}
	c.server.present[c.slot.id] = false
	c.slot.remove(c)
	if c.server.gone && !slices.Contains(c.server.present, true) {
		delete(w.servers, c.server.ep)
	}
	return true
}

// connected counts a registration.
func (w *Worker) connected(s *server, v proto.Version) {
	w.mu.Lock()
	s.registered++
	s.version = v
	s.lastErr = nil
	w.mu.Unlock()
	w.once.ready.Do(func() { close(w.ready) })
}

// disconnected counts the end of a registered connection.
func (w *Worker) disconnected(s *server) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.registered--; s.registered == 0 {
		s.epoch.Add(1)
	}
}

// retrying records why a connection has to be reopened.
func (w *Worker) retrying(s *server, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.reconnects++
	if err != nil {
		s.lastErr = err
	}
}

func mapKeys(m map[gearman.Endpoint]*server) []gearman.Endpoint {
	return slices.Collect(maps.Keys(m))
}

func compare(a, b string) int { return strings.Compare(a, b) }
