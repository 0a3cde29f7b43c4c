package worker

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/internal/transport"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// server is one job server, as found by resolving a name. Worker.mu guards it.
type server struct {
	ep         transport.Endpoint
	gone       bool   // no longer among its name's addresses: connections that are lost aren't opened again
	present    []bool // by slot: it has a connection's goroutine
	registered int
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

// follow resolves the servers' names, again and again, and opens connections to what is new. A server that leaves its name is kept as
// long as its connections live: its queue may still hold jobs.
func (w *Worker) follow(ctx context.Context) {
	type state struct {
		next     time.Time
		failures int
	}
	states := make([]state, len(w.addresses))
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
		wait := w.o.ResolveInterval
		for i, a := range w.addresses {
			st := &states[i]
			if d := time.Until(st.next); d > 0 {
				wait = min(wait, d)
				continue
			}
			lookup, cancel := context.WithTimeout(ctx, w.o.ConnectTimeout)
			endpoints, err := transport.Resolve(lookup, w.o.Resolver, a)
			cancel()
			d := w.o.ResolveInterval
			if err != nil {
				// No answer is not an empty answer: what is known stays.
				st.failures++
				d = min(d, w.backoff.Delay(st.failures))
				if ctx.Err() == nil {
					w.o.Logger.Warn("Job server name does not resolve", "server", a.String(), "error", err, "retryIn", d)
				}
			} else {
				st.failures = 0
				w.update(a, endpoints)
			}
			st.next = time.Now().Add(d)
			wait = min(wait, d)
		}
		timer.Reset(wait)
	}
}

// update takes in the addresses that a name has now.
func (w *Worker) update(a transport.Address, endpoints []transport.Endpoint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopping {
		return
	}
	for ep, s := range w.servers {
		if ep.Name == a.Host && samePort(ep.Addr, a) && !slices.Contains(endpoints, ep) && !s.gone {
			s.gone = true
			w.o.Logger.Info("Job server left its name, kept while connected", "server", ep.String())
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

func samePort(addr string, a transport.Address) bool {
	own := a.String()
	return addr[strings.LastIndexByte(addr, ':'):] == own[strings.LastIndexByte(own, ':'):]
}

// leaving says whether a connection that has ended is not to be opened again, and takes it off its server and slot if so.
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
	s.registered--
}

// retrying notes why a connection has to be opened again.
func (w *Worker) retrying(s *server, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.reconnects++
	if err != nil {
		s.lastErr = err
	}
}

func mapKeys(m map[transport.Endpoint]*server) []transport.Endpoint {
	return slices.Collect(maps.Keys(m))
}

func compare(a, b string) int { return strings.Compare(a, b) }
