package backlog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	firstBackoff = time.Second
	lastBackoff  = 30 * time.Second
)

type serverKey struct {
	addr netip.AddrPort
	tls  string // namespace and TLS identity, empty without TLS
	host string // with TLS, whose certificate depends on it
}

// server is one job server and the only connection over which it is polled. Guarded by Watcher.mu,
// except for fields that never change.
type server struct {
	w      *Watcher
	key    serverKey
	cancel context.CancelFunc
	since  time.Time

	backoff time.Duration // after the next failure; only ended uses it

	tls   *tlsSource // nil without TLS
	links []*link
	cells []*cell // by name

	idle        net.Conn // the connection, while the poller waits on it for the next poll
	rescheduled bool     // the time of the next poll has changed

	period      time.Duration // between polls: the smallest that its pools want
	podPeriod   time.Duration // the same over pools with pods; 0: none has
	nextStatus  time.Time
	nextWorkers time.Time
	lastStatus  time.Time // when the last `status` was requested

	answer    uint64 // number of the last requested `status`
	connected bool   // the last poll was answered
	state     State
	lastGood  time.Time
	answered  time.Time // when the last poll that was answered began
	lostAt    time.Time // when a connection that had answered was lost
	backAt    time.Time // when the next one first answered

	urgent  bool // an immediate poll was requested
	bell    doorbell
	balance loadBalance
	stats   stats

	opened         bool       // it has begun to answer, so it has cells
	version        uint64     // of the set of cells
	index          *cellIndex // of one version
	foreign        *foreignRows
	unanswered     bool // the last connection brought no answer, or there was none
	messages       bucket
	probes         lane
	linked         chan struct{}      // closed when another pool starts to use the server; nil unless a goroutine waits
	cancelDoorbell context.CancelFunc // nil: there is no doorbell
	gone           bool               // no pool uses it any more
	earned         int                // accepted answers to `status`
	answerSize     int                // of the last one, in bytes
}

// stats are counted for the metrics.
type stats struct {
	requests, failures uint64
	polls              uint64        // answered
	pollTime           time.Duration // of all answered polls
	lastPollTime       time.Duration
	bytes              uint64
}

func newServer(w *Watcher, key serverKey, tls *TLS) *server {
	s := &server{
		w: w, key: key, since: time.Now(), state: StateConnecting, period: math.MaxInt64,
		bell: doorbell{changed: make(chan struct{}, 1)}, messages: bucket{burst: 4, every: time.Minute},
		probes: make(lane, probesAtOnce), backoff: firstBackoff,
	}
	if tls != nil {
		s.tls = w.tlsSource(key.tls, tls)
	}
	return s
}

// unknownCells are the cells of a link to a server that has not begun to answer: no function has
// figures. Otherwise a pool that names many silent servers would use much memory.
var unknownCells = func() []*cell {
	cells := make([]*cell, maxFunctions)
	for i := range cells {
		cells[i] = &cell{}
	}
	return cells
}()

// maxFunctions is how many functions a pool may have: 64, and as many in which failed jobs wait for
// their next attempt.
const maxFunctions = 128

// acquire returns the cells of functions; release releases them.
func (s *server) acquire(functions []string) []*cell {
	if !s.opened && len(functions) <= maxFunctions {
		s.pollBy(s.w.opts.MinPeriod)
		return unknownCells[:len(functions)]
	}
	cells := make([]*cell, len(functions))
	for i, f := range functions {
		k, ok := s.find(f)
		if !ok {
			s.cells = slices.Insert(s.cells, k, &cell{name: f})
			s.version++
			s.pollBy(s.w.opts.MinPeriod)
		}
		s.cells[k].refs++
		cells[i] = s.cells[k]
	}
	return cells
}

// find returns the index at which the cell of a function is, or would be.
func (s *server) find(function string) (at int, ok bool) {
	return slices.BinarySearchFunc(s.cells, function, func(c *cell, f string) int { return strings.Compare(c.name, f) })
}

// open creates the cells of the server's links. Watcher.mu is held.
func (s *server) open() {
	if s.opened {
		return
	}
	s.opened = true
	for _, l := range s.links {
		former := l.cells
		l.cells = s.acquire(l.pool.functions)
		s.release(former)
	}
}

func (s *server) release(cells []*cell) {
	if len(cells) > 0 && cells[0] == unknownCells[0] {
		return
	}
	for _, c := range cells {
		if c.refs--; c.refs == 0 {
			k, _ := s.find(c.name)
			s.cells = slices.Delete(s.cells, k, k+1)
			s.version++
		}
	}
}

// pollBy schedules the next poll no later than period after the last one.
func (s *server) pollBy(period time.Duration) {
	s.period = min(s.period, period)
	if next := s.lastStatus.Add(period); next.Before(s.nextStatus) {
		s.nextStatus = next
		s.wakePoller()
	}
}

// wakePoller makes the poller check its times again.
func (s *server) wakePoller() {
	s.rescheduled = true
	if s.idle != nil {
		_ = s.idle.SetReadDeadline(longAgo) // fails only on a closed connection, which wakes the poller as well
	}
}

var longAgo = time.Unix(1, 0)

// run connects, and polls in another goroutine: connecting needs a deep stack, which would be kept
// while a job server is silent: 8 KiB for each instead of 4 (BenchmarkSilentServers).
func (s *server) run(ctx context.Context) {
	began := time.Now()
	conn, err := s.dial(ctx)
	if err != nil {
		s.ended(ctx, err, began)
		return
	}
	s.w.mu.Lock()
	started := s.w.spawn(ctx, func(ctx context.Context) { s.ended(ctx, s.session(ctx, conn), began) })
	s.w.mu.Unlock()
	if !started {
		_ = conn.Close()
	}
}

// ended schedules the next session after a while, unless ctx is done. After consecutive failures it
// waits longer each time, up to lastBackoff. A namespace may name hundreds of addresses at which
// nothing answers, so they wait without a goroutine.
func (s *server) ended(ctx context.Context, err error, began time.Time) {
	if ctx.Err() != nil {
		return
	}
	if s.failed(err, began) {
		s.backoff = firstBackoff
	}
	wait := jitter(s.backoff)
	s.backoff = min(2*s.backoff, lastBackoff)
	s.w.later(ctx, wait, s.run)
}

// failed records why a session ended, and reports whether it had received an answer.
func (s *server) failed(err error, began time.Time) (answered bool) {
	state := classify(err)
	now := time.Now()
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.connected {
		s.lostAt = now
	}
	if s.state != state && s.mayLog(now) {
		s.w.log.Warn("Job server doesn't answer", "server", s.key.addr, "state", state, "cause", cause(err))
	}
	s.unanswered = !s.lastGood.After(began)
	s.connected, s.state = false, state
	s.updateBell()
	s.stats.failures++
	for _, l := range s.links {
		l.target.lookUpSoon()
	}
	s.w.polled(s, now)
	return !s.unanswered
}

// session polls over a connection until an error, and closes it.
func (s *server) session(ctx context.Context, conn net.Conn) error {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	p := poller{server: s, conn: conn}
	for {
		wait, workers := s.due(time.Now())
		if wait > 0 {
			if err := s.waitIdle(conn, wait); err != nil {
				return err
			}
			continue
		}
		if err := p.poll(workers); err != nil {
			return err
		}
	}
}

// due returns how long to wait for the next poll, and whether it should request `workers` too.
func (s *server) due(now time.Time) (wait time.Duration, workers bool) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	// `workers` is requested together with a `status`: the one nearest to its time.
	return s.nextStatus.Sub(now), s.podPeriod > 0 && !s.nextWorkers.After(now.Add(s.period/2))
}

// waitIdle waits on a connection that should be silent, so that a lost connection is noticed at
// once, and so are unexpected bytes.
func (s *server) waitIdle(conn net.Conn, d time.Duration) error {
	s.w.mu.Lock()
	if s.rescheduled {
		s.rescheduled = false
		s.w.mu.Unlock()
		return nil
	}
	s.idle = conn
	err := conn.SetReadDeadline(time.Now().Add(d))
	s.w.mu.Unlock()
	n := 0
	if err == nil {
		var b [1]byte
		n, err = conn.Read(b[:])
	}
	s.w.mu.Lock()
	s.idle, s.rescheduled = nil, false
	s.w.mu.Unlock()
	switch {
	case n > 0:
		return fmt.Errorf("%w: bytes without a request", errBadAnswer)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	case err == nil: // a Read may return nothing at all
		return nil
	}
	return err
}

// dialError means that there is no connection, setupError that there is no TLS configuration, and
// tlsError that the TLS handshake failed.
type (
	dialError  struct{ error }
	setupError struct{ error }
	tlsError   struct{ error }
)

func (e dialError) Unwrap() error  { return e.error }
func (e setupError) Unwrap() error { return e.error }
func (e tlsError) Unwrap() error   { return e.error }

// cause returns why there is no answer, without anything that a peer sent.
func cause(err error) string {
	if e, ok := errors.AsType[tlsError](err); ok {
		return tlsCause(e.error)
	}
	return err.Error()
}

// dial connects within Options.Timeout, the TLS handshake included, as soon as the namespaces of
// the server's pools don't have too many dials under way.
func (s *server) dial(ctx context.Context) (net.Conn, error) {
	lane, ok := s.enterLane(ctx)
	if !ok {
		return nil, dialError{ctx.Err()}
	}
	if lane != nil {
		defer lane.leave()
	}
	ctx, cancel := context.WithTimeout(ctx, s.w.opts.Timeout)
	defer cancel()
	conn, err := s.w.opts.Dial(ctx, s.key.addr)
	if err != nil {
		return nil, dialError{err}
	}
	if s.tls == nil {
		return conn, nil
	}
	config, err := s.tls.get(ctx)
	if err != nil {
		_ = conn.Close()
		return nil, setupError{err}
	}
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName = s.key.host
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, tlsError{err}
	}
	return secure, nil
}

// classify returns the state that an error of a session means.
func classify(err error) State {
	if _, ok := errors.AsType[tlsError](err); ok {
		return StateTLSFailed
	}
	if _, ok := errors.AsType[setupError](err); ok {
		return StateTLSFailed
	}
	// With TLS 1.3 a server rejects a client's certificate after the handshake: crypto/tls reports
	// its alert with this Op.
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "remote error" {
		return StateTLSFailed
	}
	if _, ok := errors.AsType[dialError](err); ok {
		if errors.Is(err, syscall.ECONNREFUSED) {
			return StateRefused
		}
		return StateUnreachable
	}
	switch {
	case errors.Is(err, errBadAnswer):
		return StateBadAnswer
	case errors.Is(err, os.ErrDeadlineExceeded):
		return StateTimedOut
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, io.ErrClosedPipe),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return StateClosed
	}
	return StateUnreachable
}
