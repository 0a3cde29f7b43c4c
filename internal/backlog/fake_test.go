package backlog

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// network is all that a watcher in a synctest bubble can reach: names and job servers, connected by
// pipes.
type network struct {
	mu      sync.Mutex
	names   map[string][]netip.Addr
	errors  map[string]error
	servers map[netip.AddrPort]*fakeServer
	lookups int
	wg      sync.WaitGroup
}

func newNetwork(t *testing.T) *network {
	n := &network{
		names: map[string][]netip.Addr{}, errors: map[string]error{}, servers: map[netip.AddrPort]*fakeServer{},
	}
	t.Cleanup(n.wg.Wait)
	return n
}

func (n *network) lookup(_ context.Context, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lookups++
	if err := n.errors[host]; err != nil {
		return nil, err
	}
	addrs, ok := n.names[host]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return slices.Clone(addrs), nil
}

func (n *network) name(host string, addrs ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.errors, host)
	n.names[host] = []netip.Addr{}
	for _, a := range addrs {
		n.names[host] = append(n.names[host], netip.MustParseAddr(a))
	}
}

func (n *network) nameFails(host string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.errors[host] = err
}

func (n *network) noName(host string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.names, host)
}

func (n *network) dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	n.mu.Lock()
	s := n.servers[addr]
	n.mu.Unlock()
	if s == nil {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	s.mu.Lock()
	s.dials++
	blackHole, refuse := s.blackHole, s.refuse
	s.mu.Unlock()
	if blackHole {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if refuse {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	a, b := net.Pipe()
	s.mu.Lock()
	s.conns[b] = true
	s.mu.Unlock()
	n.wg.Go(func() { s.serve(b) })
	return a, nil
}

// pause in an answer is a second without data.
const pause = "\x00"

// fakeServer answers `status`, `workers` and echo requests from its fields: a function's numbers
// without its jobs, rows of workers that never connected, one command that hangs while others are
// answered. Tests that need none of this use gearmantest, see memory in probe_test.go.
type fakeServer struct {
	mu        sync.Mutex
	functions map[string][3]int // TOTAL, RUNNING, WORKERS
	workers   []string          // rows, without the file descriptor
	answer    func(command string) (string, bool)
	echoes    func(packet []byte) []byte // the answer to an echo, nil: the echo
	slow      map[string]time.Duration   // by command, before the answer
	hang      bool
	// hangOnPackets hangs on connections that start with a packet, as those of probes do.
	hangOnPackets bool
	blackHole     bool
	refuse        bool
	conns         map[net.Conn]bool
	dials         int
	requests      map[string]int
}

func (n *network) server(addr string) *fakeServer {
	a := netip.MustParseAddrPort(addr)
	s := &fakeServer{functions: map[string][3]int{}, conns: map[net.Conn]bool{}, requests: map[string]int{}}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.servers[a] = s
	return s
}

func (s *fakeServer) set(f func(*fakeServer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

func (s *fakeServer) function(name string, total, running, workers int) {
	s.set(func(s *fakeServer) { s.functions[name] = [3]int{total, running, workers} })
}

// cut closes all connections.
func (s *fakeServer) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

func (s *fakeServer) dialled() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dials
}

// open is the number of connections.
func (s *fakeServer) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *fakeServer) count(command string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[command]
}

func (s *fakeServer) serve(c net.Conn) {
	defer func() {
		c.Close()
		s.set(func(s *fakeServer) { delete(s.conns, c) })
	}()
	in := bufio.NewReader(c)
	if first, err := in.Peek(1); err == nil && first[0] == 0 {
		s.mu.Lock()
		hang := s.hangOnPackets
		s.mu.Unlock()
		if hang {
			_, _ = io.Copy(io.Discard, in) // until the peer leaves
			return
		}
	}
	for {
		first, err := in.Peek(1)
		if err != nil {
			return
		}
		if first[0] == 0 {
			if !s.echo(c, in) {
				return // tests of other packets use gearmantest
			}
			continue
		}
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		command := strings.TrimSuffix(line, "\n")
		answer, hang := s.reply(command)
		if hang {
			continue
		}
		s.mu.Lock()
		d := s.slow[command]
		s.mu.Unlock()
		time.Sleep(d)
		for i, part := range strings.Split(answer, pause) {
			if i > 0 {
				time.Sleep(time.Second)
			}
			if _, err := c.Write([]byte(part)); err != nil {
				return
			}
		}
	}
}

// echo answers an echo request, and returns false for other packets.
func (s *fakeServer) echo(c net.Conn, in *bufio.Reader) bool {
	header := make([]byte, 12)
	if _, err := io.ReadFull(in, header); err != nil || proto.Type(header[7]) != proto.TypeEchoReq {
		return false
	}
	data := make([]byte, header[11])
	if _, err := io.ReadFull(in, data); err != nil {
		return false
	}
	s.mu.Lock()
	hang, with := s.hang, s.echoes
	s.mu.Unlock()
	if hang {
		return true
	}
	answer := proto.AppendEcho(nil, proto.Response, data)
	if with != nil {
		answer = with(answer)
	}
	_, err := c.Write(answer)
	return err == nil
}

func (s *fakeServer) reply(command string) (answer string, hang bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[command]++
	if s.hang {
		return "", true
	}
	if s.answer != nil {
		if a, ok := s.answer(command); ok {
			return a, false
		}
	}
	var b strings.Builder
	switch command {
	case "status":
		for name, f := range s.functions {
			fmt.Fprintf(&b, "%s\t%d\t%d\t%d\n", name, f[0], f[1], f[2])
		}
	case "workers":
		for i, row := range s.workers {
			fmt.Fprintf(&b, "%d %s\n", i+30, row)
		}
	default:
		return "ERR UNKNOWN_COMMAND\r\n", false
	}
	b.WriteString(".\n")
	return b.String(), false
}

// watch runs a watcher until the test ends.
func watch(t *testing.T, n *network, o Options) *Watcher {
	t.Helper()
	o.Dial, o.LookupHost = n.dial, n.lookup
	w := New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

// limit lowers the limits of a namespace to what a test can reach.
func (w *Watcher) limit(namespace string, change func(*tenant)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w.tenants[namespace])
}

var poolA = PoolKey{"ns", "a"}

func set(t *testing.T, w *Watcher, key PoolKey, sub Subscription) {
	t.Helper()
	if err := w.Set(key, sub); err != nil {
		t.Fatal(err)
	}
}

func sample(t *testing.T, w *Watcher, key PoolKey) Sample {
	t.Helper()
	s, ok := w.Sample(key, time.Now())
	if !ok {
		t.Fatalf("no sample of %v", key)
	}
	return s
}

// write sends to all connections without a request.
func (s *fakeServer) write(what string) {
	s.mu.Lock()
	conns := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	for _, c := range conns {
		_, _ = c.Write([]byte(what))
	}
}
