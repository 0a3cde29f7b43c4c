package backlog

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// memory dials in-memory job servers; an address with several gets them in turn.
type memory struct {
	mu      sync.Mutex
	servers map[string][]*gearmantest.Server
	dials   int
}

func (m *memory) dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	m.mu.Lock()
	list := m.servers[addr.String()]
	if len(list) == 0 {
		m.mu.Unlock()
		return nil, errors.New("nobody there")
	}
	m.dials++
	s := list[m.dials%len(list)]
	m.mu.Unlock()
	return s.DialContext(ctx, "tcp", addr.String())
}

// server starts a job server at an address, with the options given, if any are.
func (m *memory) server(t *testing.T, addr string, opts ...gearmantest.Options) *gearmantest.Server {
	t.Helper()
	o := append(opts, gearmantest.Options{})[0]
	o.InMemory, o.Addr = true, addr
	s := gearmantest.NewServer(o)
	t.Cleanup(s.Close)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.servers == nil {
		m.servers = make(map[string][]*gearmantest.Server)
	}
	m.servers[addr] = append(m.servers[addr], s)
	return s
}

func (m *memory) watch(t *testing.T, o Options) *Watcher {
	t.Helper()
	o.Dial = m.dial
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

// client speaks raw packets with a server.
type client struct {
	t    *testing.T
	conn *proto.Conn
}

func connect(t *testing.T, s *gearmantest.Server) *client {
	t.Helper()
	nc, err := s.DialContext(t.Context(), "tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t, proto.NewConn(nc, proto.Limits{})}
	t.Cleanup(func() { c.conn.Close() })
	return c
}

// do sends packets and returns the type of the next one that comes.
func (c *client) do(packets []byte) proto.Type {
	c.t.Helper()
	if _, err := c.conn.Write(packets); err != nil {
		c.t.Fatal(err)
	}
	p, err := c.conn.Next()
	if err != nil {
		c.t.Fatal(err)
	}
	return p.Type
}

// submit puts a background job into a queue.
func (c *client) submit(function string) {
	c.t.Helper()
	if got := c.do(proto.AppendSubmit(nil, proto.TypeSubmitJobBG, function, "", "x")); got != proto.TypeJobCreated {
		c.t.Fatalf("%v", got)
	}
}

func TestRunnable(t *testing.T) {
	t.Parallel()
	const one, two = "10.0.0.1:4730", "10.0.0.2:4730"
	tests := map[string]struct {
		prepare func(t *testing.T, one, two *gearmantest.Server)
		want    Verdict
	}{
		"empty":   {func(*testing.T, *gearmantest.Server, *gearmantest.Server) {}, NotRunnable},
		"waiting": {func(t *testing.T, one, _ *gearmantest.Server) { connect(t, one).submit("f") }, Runnable},
		"waiting on one, the other hangs": {func(t *testing.T, one, two *gearmantest.Server) {
			connect(t, one).submit("f")
			connect(t, two).submit("f")
			time.Sleep(2 * time.Second)
			two.SetFault(gearmantest.Fault{Hang: true})
		}, Runnable},
		"one hangs": {func(t *testing.T, one, _ *gearmantest.Server) {
			connect(t, one).submit("f")
			time.Sleep(2 * time.Second)
			one.SetFault(gearmantest.Fault{Hang: true})
		}, Unknown},
		"garbage": {func(t *testing.T, one, _ *gearmantest.Server) {
			connect(t, one).submit("f")
			time.Sleep(2 * time.Second)
			one.SetFault(gearmantest.Fault{Garbage: []byte("\x00RES\x00\x00\x00\x0a\x00\x00\x00\x00")})
		}, Unknown},
		"another function": {
			func(t *testing.T, one, _ *gearmantest.Server) { connect(t, one).submit("g") }, NotRunnable,
		},
		"running": {func(t *testing.T, one, _ *gearmantest.Server) {
			c := connect(t, one)
			c.submit("f")
			if got := c.do(
				proto.AppendEmpty(proto.AppendCanDo(nil, "f"), proto.Request, proto.TypeGrabJob),
			); got != proto.TypeJobAssign {
				t.Fatal(got)
			}
		}, NotRunnable},
		"delayed": {func(t *testing.T, one, _ *gearmantest.Server) {
			connect(t, one).do(proto.AppendSubmitEpoch(nil, "f", "", time.Now().Add(time.Hour), "x"))
		}, NotRunnable},
		"delayed and due": {func(t *testing.T, one, _ *gearmantest.Server) {
			connect(t, one).do(proto.AppendSubmitEpoch(nil, "f", "", time.Now().Add(time.Second), "x"))
			time.Sleep(2 * time.Second)
		}, Runnable},
		"abandoned": {func(t *testing.T, one, _ *gearmantest.Server) {
			c := connect(t, one)
			c.do(proto.AppendSubmit(nil, proto.TypeSubmitJob, "f", "", "x"))
			c.conn.Close()
		}, NotRunnable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := &memory{}
				a, b := m.server(t, one), m.server(t, two)
				w := m.watch(t, Options{})
				set(t, w, poolA, Subscription{Servers: []string{one, two}, Functions: []string{"f", "g"}, AtZero: true})
				tt.prepare(t, a, b)
				time.Sleep(1200 * time.Millisecond)
				got, err := w.Runnable(t.Context(), poolA, "f")
				if got != tt.want || (err != nil) != (tt.want == Unknown) {
					t.Errorf("%v, %v; want %v", got, err, tt.want)
				}
				if name == "abandoned" {
					time.Sleep(1200 * time.Millisecond)
					if s := sample(t, w, poolA); s.Functions[0].Total != 0 {
						t.Errorf("asking clears abandoned jobs, but %+v", s.Functions[0])
					}
				}
			})
		})
	}
	w := New(Options{})
	if v, err := w.Runnable(t.Context(), poolA, "f"); v != Unknown || err == nil {
		t.Errorf("a pool that isn't watched: %v, %v", v, err)
	}
	set(t, w, poolA, Subscription{Servers: []string{"10.0.0.1"}, Functions: []string{"f"}})
	if v, err := w.Runnable(t.Context(), poolA, "g"); v != Unknown || err == nil {
		t.Errorf("a function that isn't watched: %v, %v", v, err)
	}
}

func TestLoadBalanced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const cluster, single = "10.0.0.1:4730", "10.0.0.2:4730"
		m := &memory{}
		m.server(t, cluster)
		m.server(t, cluster)
		restarting := m.server(t, single)
		w := m.watch(t, Options{})
		key := PoolKey{"ns", "single"}
		set(t, w, poolA, Subscription{Servers: []string{cluster}, Functions: []string{"f"}})
		set(t, w, key, Subscription{Servers: []string{single}, Functions: []string{"f"}})
		time.Sleep(10 * time.Minute)
		if s := sample(t, w, poolA); !s.LoadBalanced || !s.Servers[0].LoadBalanced {
			t.Errorf("two servers behind one address: %+v", s)
		}
		for range 1000 {
			time.Sleep(time.Second)
			restarting.CloseConnections()
		}
		if s := sample(t, w, key); s.LoadBalanced {
			t.Errorf("one server, connections cut: %+v", s)
		}
		m.mu.Lock()
		m.servers[cluster] = m.servers[cluster][:1]
		m.mu.Unlock()
		time.Sleep(2 * time.Hour)
		if s := sample(t, w, poolA); s.LoadBalanced {
			t.Errorf("one server is left: %+v", s)
		}
	})
}
