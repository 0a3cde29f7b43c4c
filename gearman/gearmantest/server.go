package gearmantest

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// A Server is an in-process job server.
type Server struct {
	o     Options
	rules rules
	me    identity
	read  atomic.Uint64 // bytes
	wrote atomic.Uint64

	wg sync.WaitGroup

	mu           sync.Mutex // guards all fields below; never held across I/O
	q            *queue
	req          request // reused by run
	conns        map[*conn]struct{}
	closing      []net.Conn // to be closed after the lock is released
	freeFDs      []int
	lastFD       int
	listener     net.Listener
	addr         string
	state        state
	refusing     bool
	fault        Fault
	faultChanged chan struct{}
	hits         int
	requests     [proto.TypeStatusResUnique + 2]uint64 // by type; the last counts those of unknown types
	lines        map[string]*uint64
	otherLines   uint64
	accepted     uint64
	jobsBefore   uint64 // jobs created before the last restart
}

type state uint8

const (
	unstarted state = iota
	running
	closed
)

// NewServer starts a job server on a loopback port. The caller must call Close. Like
// httptest.NewServer it panics if it can't listen.
func NewServer(o Options) *Server {
	s := NewUnstarted(o)
	s.Start()
	return s
}

var memoryServers atomic.Uint64

// NewUnstarted returns a server that refuses connections until Start. Jobs can be added with
// Submit, and faults set.
func NewUnstarted(o Options) *Server {
	o.setDefaults()
	s := &Server{
		o: o, rules: o.rules(), me: identity{version: o.Version, pid: os.Getpid(), verbose: "INFO"},
		conns: map[*conn]struct{}{}, lastFD: 35, faultChanged: make(chan struct{}),
		lines: map[string]*uint64{},
	}
	for _, word := range []string{
		"status", "prioritystatus", "workers", "show", "cancel", "create", "drop", "maxqueue", "getpid", "verbose",
		"version",
	} {
		s.lines[word] = new(uint64)
	}
	if o.InMemory {
		s.addr = o.Addr
		if s.addr == "" {
			s.addr = fmt.Sprintf("memory-%d:4730", memoryServers.Add(1))
		}
	}
	s.q = s.newQueue()
	return s
}

func (s *Server) newQueue() *queue {
	q := newQueue(s.rules, func() int64 { return s.o.Clock().Unix() })
	q.later = func(ms int64, f func()) func() {
		t := time.AfterFunc(time.Duration(ms)*time.Millisecond, func() {
			s.mu.Lock()
			defer s.unlock()
			if s.state == running && s.q == q {
				f()
			}
		})
		return func() { t.Stop() }
	}
	return q
}

// Start makes an unstarted server accept connections.
func (s *Server) Start() {
	s.mu.Lock()
	if s.state != unstarted {
		s.mu.Unlock()
		panic("gearmantest: server started twice, or after Close")
	}
	s.mu.Unlock()
	l := s.o.Listener
	if l == nil && !s.o.InMemory {
		var err error
		if l, err = net.Listen("tcp", cmp.Or(s.o.Addr, "127.0.0.1:0")); err != nil {
			panic(fmt.Sprintf("gearmantest: %v", err))
		}
	}
	s.mu.Lock()
	defer s.unlock()
	s.state = running
	if l != nil {
		s.addr = l.Addr().String()
		s.listen(l)
	}
}

func (s *Server) listen(l net.Listener) {
	s.listener = l
	s.wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			host, _, err := net.SplitHostPort(nc.RemoteAddr().String())
			if err != nil || !s.serve(nc, host) {
				_ = nc.Close()
			}
		}
	})
}

// Addr returns the address at which the server listens, "host:port". An in-memory server can be
// reached only with DialContext or Dialer.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.unlock()
	return s.addr
}

// serve adds a connection, and returns false if the server accepts none.
func (s *Server) serve(nc net.Conn, ip string) bool {
	if s.o.TLS != nil {
		nc = tls.Server(nc, s.o.TLS)
	}
	s.mu.Lock()
	defer s.unlock()
	if s.state != running || s.refusing {
		return false
	}
	c := &conn{s: s, nc: nc, done: make(chan struct{}), wrote: &s.wrote}
	c.p.conn, c.p.ip = c, ip
	if n := len(s.freeFDs); n > 0 {
		c.p.fd, s.freeFDs = s.freeFDs[n-1], s.freeFDs[:n-1]
	} else {
		s.lastFD++
		c.p.fd = s.lastFD
	}
	s.conns[c] = struct{}{}
	s.accepted++
	s.q.connect(&c.p)
	s.wg.Go(c.read)
	return true
}

// disconnect forgets a connection whose reader has ended.
func (s *Server) disconnect(c *conn) {
	s.mu.Lock()
	defer s.unlock()
	s.drop(c)
}

// drop closes a connection at once; unwritten output is lost.
func (s *Server) drop(c *conn) {
	if c.closed {
		return
	}
	c.closed = true
	close(c.done)
	delete(s.conns, c)
	s.freeFDs = append(s.freeFDs, c.p.fd)
	s.q.disconnect(&c.p)
	s.closing = append(s.closing, c.nc)
}

// unlock releases the lock. Before that, it starts the writers for the queue's output; after it, it
// closes dropped connections.
func (s *Server) unlock() {
	for i, p := range s.q.dirty {
		p.dirty = false
		if c := p.conn; c != nil && !c.closed && !c.writing && len(p.out) > 0 {
			c.writing = true
			s.wg.Go(c.write)
		}
		s.q.dirty[i] = nil
	}
	s.q.dirty = s.q.dirty[:0]
	closing := s.closing
	s.closing = nil
	s.mu.Unlock()
	for _, nc := range closing {
		_ = nc.Close()
	}
}

// Close ends the server and all its connections, and waits for its goroutines. It may be called
// more than once.
func (s *Server) Close() {
	s.mu.Lock()
	s.state = closed
	l := s.listener
	s.listener = nil
	s.dropAll()
	s.unlock()
	if l != nil {
		_ = l.Close()
	}
	s.wg.Wait()
}

func (s *Server) dropAll() {
	// In the order in which they were opened, so that repeated tests requeue their jobs in the same
	// order.
	for _, c := range slices.SortedFunc(
		maps.Keys(s.conns), func(a, b *conn) int { return cmp.Compare(a.p.fd, b.p.fd) },
	) {
		s.drop(c)
	}
}

// CloseConnections closes every connection; the server keeps running. The jobs that they were
// running are requeued.
func (s *Server) CloseConnections() {
	s.mu.Lock()
	defer s.unlock()
	s.dropAll()
}

// Refuse makes the server refuse new connections, as if its process were gone. Existing connections
// stay open. Accept ends this.
func (s *Server) Refuse() {
	s.mu.Lock()
	s.refusing = true
	l := s.listener
	s.listener = nil
	s.unlock()
	if l != nil {
		_ = l.Close()
	}
}

// Accept accepts connections again after Refuse, at the same address. It fails if another process
// has taken the port meanwhile.
func (s *Server) Accept() error {
	s.mu.Lock()
	addr, again := s.addr, s.state == running && s.refusing
	s.unlock()
	if !again {
		return errors.New("gearmantest: Accept without Refuse, or on a server that does not run")
	}
	var l net.Listener
	if !s.o.InMemory {
		var err error
		if l, err = net.Listen("tcp", addr); err != nil {
			return fmt.Errorf("gearmantest: listening again on %s: %w", addr, err)
		}
	}
	s.mu.Lock()
	defer s.unlock()
	if s.state != running {
		if l != nil {
			_ = l.Close()
		}
		return errors.New("gearmantest: the server was closed while it started to listen again")
	}
	s.refusing = false
	if l != nil {
		s.listen(l)
	}
	return nil
}

// Restart behaves as if the process had ended and started again: every connection is closed, the
// functions are forgotten, and all jobs are lost.
func (s *Server) Restart() {
	s.mu.Lock()
	defer s.unlock()
	s.restart(nil)
}

// RestartWithQueue is Restart for a server with a persistent queue: its background jobs come back,
// in their order, with new handles and no retries.
func (s *Server) RestartWithQueue() {
	s.mu.Lock()
	defer s.unlock()
	var kept []submission
	for n := s.q.jobs.front; n != nil; n = n.next {
		if j := n.v; j.queuedOn {
			kept = append(kept, submission{
				function: []byte(j.fn.name), unique: []byte(j.unique), data: j.data, prio: j.prio, when: j.when,
			})
		}
	}
	s.restart(kept)
}

func (s *Server) restart(kept []submission) {
	s.dropAll()
	s.jobsBefore += s.q.created
	s.q = s.newQueue()
	for _, k := range kept {
		s.q.submit(k, nil)
	}
}

type clientIP struct{}

// WithClientIP returns a context for DialContext. The server lists an in-memory connection made
// with it under this address.
func WithClientIP(ctx context.Context, ip string) context.Context {
	return context.WithValue(ctx, clientIP{}, ip)
}

// DialContext connects to the server, whatever the address is. It has the signature of net.Dialer's
// method, for the dialer options of the client, worker and admin packages.
func (s *Server) DialContext(ctx context.Context, network, _ string) (net.Conn, error) {
	if !s.o.InMemory {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", s.Addr())
	}
	if err := ctx.Err(); err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: memoryAddr(s.addr), Err: err}
	}
	ip, _ := ctx.Value(clientIP{}).(string)
	if ip == "" {
		ip = "127.0.0.1"
	}
	near, far := net.Pipe()
	if !s.serve(far, ip) {
		_ = near.Close()
		_ = far.Close()
		return nil, &net.OpError{Op: "dial", Net: network, Addr: memoryAddr(s.addr), Err: syscall.ECONNREFUSED}
	}
	return &memoryConn{Conn: near, local: memoryAddr(net.JoinHostPort(ip, "0")), remote: memoryAddr(s.addr)}, nil
}

// Dialer returns a dial function that connects to the given servers by their addresses, and to no
// others.
func Dialer(servers ...*Server) func(ctx context.Context, network, address string) (net.Conn, error) {
	byAddr := make(map[string]*Server, len(servers))
	for _, s := range servers {
		byAddr[s.Addr()] = s
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		s := byAddr[address]
		if s == nil {
			host, _, _ := net.SplitHostPort(address)
			return nil, &net.OpError{
				Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true},
			}
		}
		return s.DialContext(ctx, network, address)
	}
}

type memoryAddr string

func (memoryAddr) Network() string  { return "memory" }
func (a memoryAddr) String() string { return string(a) }

// A memoryConn is one end of a pipe, with meaningful addresses.
type memoryConn struct {
	net.Conn
	local, remote net.Addr
}

func (c *memoryConn) LocalAddr() net.Addr  { return c.local }
func (c *memoryConn) RemoteAddr() net.Addr { return c.remote }
