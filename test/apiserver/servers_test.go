package apiserver

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
)

// TestThreeBadServersOfTen: of ten job servers one hangs, one swallows all that is sent to it and
// answers no dial, and one answers garbage. Conditions and metrics report each with its own
// trouble, no pool is scaled down, and jobs on the others are seen as soon as ever.
func TestThreeBadServersOfTen(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	const hangs, swallows, babbles = 2, 5, 7
	ns := namespace(t)
	var servers []*gearmantest.Server
	var addrs []v1alpha1.ServerAddress
	hole := newBlackHole(t)
	for i := range 10 {
		s := gearmantest.NewServer(gearmantest.Options{})
		t.Cleanup(s.Close)
		servers = append(servers, s)
		addr := s.Addr()
		if i == swallows {
			hole.to(s.Addr())
			addr = hole.addr
		}
		addrs = append(addrs, v1alpha1.ServerAddress(addr))
	}
	// Each pool has a job that no worker takes, which keeps the pool above zero.
	function := func(i int) string { return fmt.Sprintf("bad-servers-%d", i) }
	pools := make([]*v1alpha1.GearmanWorkerPool, 0, 11)
	add := func(name string, of []v1alpha1.ServerAddress, function string) {
		p := pool(ns, func(s *spec) {
			s.Servers, s.Function = of, v1alpha1.FunctionName(function)
			s.Scaling = &v1alpha1.ScalingSpec{
				JobsPerReplica: new(int32(1)), IdleSeconds: new(int32(1)), PollSeconds: new(int32(1)),
			}
		})
		p.Name = name
		create(t, p)
		pools = append(pools, p)
	}
	for i := range addrs {
		servers[i].Submit(function(i), "", nil)
		add(fmt.Sprintf("one-%d", i), addrs[i:i+1], function(i))
	}
	servers[0].Submit("bad-servers-all", "", nil)
	add("all", addrs, "bad-servers-all")
	all := pools[len(addrs)]
	for _, p := range pools {
		g.Eventually(replicas(t, p), eventually).Should(BeEquivalentTo(1), p.Name)
		g.Eventually(
			condition(t, p, v1alpha1.ConditionJobServersReachable), eventually,
		).Should(Equal("True AllAnswer"), p.Name)
	}

	servers[hangs].SetFault(gearmantest.Fault{Hang: true})
	hole.open(t)
	servers[babbles].SetFault(gearmantest.Fault{Garbage: []byte("\xff\x00garbage\n.\n")})
	bad := map[int]string{hangs: "TimedOut", swallows: "Unreachable", babbles: "BadAnswer"}
	for i, state := range bad {
		g.Eventually(
			condition(t, pools[i], v1alpha1.ConditionJobServersReachable), eventually,
		).Should(Equal("False NoneAnswers"), state)
		g.Eventually(
			message(t, pools[i], v1alpha1.ConditionJobServersReachable), eventually,
		).Should(ContainSubstring(string(addrs[i]) + ": " + state))
		g.Eventually(
			message(t, all, v1alpha1.ConditionJobServersReachable), eventually,
		).Should(ContainSubstring(string(addrs[i]) + ": " + state))
		g.Eventually(
			series(t, "gearman_server_state", "server", string(addrs[i]), "state", state), eventually,
		).Should(BeEquivalentTo(1), state)
		g.Expect(series(t, "gearman_server_up", "server", string(addrs[i]))()).To(BeEquivalentTo(0))
	}
	g.Eventually(
		condition(t, all, v1alpha1.ConditionJobServersReachable), eventually,
	).Should(Equal("False SomeDoNotAnswer"))

	// The good ones continue: for a while none of their answers gets old, and more jobs get more
	// replicas at once.
	for i := range addrs {
		if _, is := bad[i]; is {
			continue
		}
		g.Expect(series(t, "gearman_server_up", "server", string(addrs[i]))()).To(BeEquivalentTo(1))
		g.Expect(condition(t, pools[i], v1alpha1.ConditionJobServersReachable)()).To(Equal("True AllAnswer"))
		servers[i].Submit(function(i), "", nil)
	}
	began := time.Now()
	for i, p := range pools[:len(addrs)] {
		if _, is := bad[i]; !is {
			g.Eventually(replicas(t, p), eventually).Should(BeNumerically(">=", 2), p.Name)
		}
	}
	t.Logf("with three bad servers of ten, the pools of the others grew within %v", time.Since(began))
	oldest := 0.
	for range 20 {
		for i, p := range pools {
			if _, is := bad[i]; !is && p != all {
				oldest = max(oldest, series(t, "gearman_server_answer_age_seconds", "server", string(addrs[i]))())
			}
			if n := replicas(t, p)(); n < 1 {
				t.Fatalf("%s was scaled down to %d", p.Name, n)
			}
		}
		time.Sleep(500 * time.Millisecond)
	}
	// An answer is stale after three periods of 1 s. That leaves time for a slow machine.
	if oldest > 3 {
		t.Errorf("an answer of a good server was %.1f s old", oldest)
	}

	// The bad ones recover with their jobs, and everything is as before.
	servers[hangs].SetFault(gearmantest.Fault{})
	hole.close(t)
	servers[babbles].SetFault(gearmantest.Fault{})
	for _, p := range pools {
		g.Eventually(
			condition(t, p, v1alpha1.ConditionJobServersReachable), 2*eventually,
		).Should(Equal("True AllAnswer"), p.Name)
	}
}

// TestLoadBalanced: a queue can't be read through one address that leads to several job servers,
// and the pool reports this until the address leads to one.
func TestLoadBalanced(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	a, b := jobserver.Gearmand(t), jobserver.Gearmand(t)
	balancer := newBalancer(t, a.Addr, b.Addr)
	p := pool(namespace(t), func(s *spec) {
		s.Servers = []v1alpha1.ServerAddress{v1alpha1.ServerAddress(balancer.addr)}
		s.Function = "balanced"
	})
	create(t, p)
	g.Eventually(
		condition(t, p, v1alpha1.ConditionJobServersReachable), 2*eventually,
	).Should(Equal("False LoadBalanced"))
	g.Expect(condition(t, p, v1alpha1.ConditionReady)()).To(Equal("False LoadBalanced"))
	g.Expect(message(t, p, v1alpha1.ConditionJobServersReachable)()).To(ContainSubstring(balancer.addr))
	g.Expect(series(t, "gearman_server_load_balanced", "server", balancer.addr)()).To(BeEquivalentTo(1))
}

// message returns the message of one of the pool's conditions.
func message(t *testing.T, p *v1alpha1.GearmanWorkerPool, kind string) func() string {
	return func() string {
		var got v1alpha1.GearmanWorkerPool
		if err := k8s.Get(t.Context(), client.ObjectKeyFromObject(p), &got); err != nil {
			return err.Error()
		}
		for _, c := range got.Status.Conditions {
			if c.Type == kind {
				return c.Message
			}
		}
		return ""
	}
}

// series returns the value of the operator's metric with these labels, or -1 if there is none.
func series(t *testing.T, name string, pairs ...string) func() float64 {
	return func() float64 {
		families, err := metrics.Registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() != name {
				continue
			}
			for _, m := range f.GetMetric() {
				has := map[string]string{}
				for _, l := range m.GetLabel() {
					has[l.GetName()] = l.GetValue()
				}
				same := true
				for i := 0; i+1 < len(pairs); i += 2 {
					same = same && has[pairs[i]] == pairs[i+1]
				}
				if same {
					return m.GetGauge().GetValue()
				}
			}
		}
		return -1
	}
}

// balancer is a TCP proxy that uses its back ends in turn.
type balancer struct {
	addr string
	next atomic.Uint64
}

func newBalancer(t *testing.T, backends ...string) *balancer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{addr: l.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		var conns []net.Conn
		for {
			in, err := l.Accept()
			if err != nil {
				break
			}
			conns = append(conns, in)
			backend := backends[b.next.Add(1)%uint64(len(backends))]
			wg.Go(func() { proxy(in, backend) })
		}
		for _, c := range conns {
			c.Close()
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return b
}

// proxy copies both ways until one side closes.
func proxy(in net.Conn, backend string) {
	defer in.Close()
	out, err := net.Dial("tcp", backend)
	if err != nil {
		return
	}
	defer out.Close()
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(out, in); out.Close(); in.Close() }) // how a copy ends doesn't matter
	wg.Go(func() { _, _ = io.Copy(in, out); out.Close(); in.Close() })
	wg.Wait()
}

// blackHole is a proxy to a job server that can be made to lead nowhere: connections are cut, and a
// dial gets no answer at all, as if packets were dropped.
type blackHole struct {
	addr, backend string

	mu       sync.Mutex
	listener net.Listener
	conns    []net.Conn
	fd       int   // of the listener that accepts nothing
	fill     []int // connections that fill its queue
	wg       sync.WaitGroup
}

func newBlackHole(t *testing.T) *blackHole {
	h := &blackHole{addr: "127.0.0.1:0", fd: -1}
	t.Cleanup(func() {
		h.mu.Lock()
		h.shut()
		h.mu.Unlock()
		h.wg.Wait()
	})
	h.listen(t)
	return h
}

// to sets the job server that it leads to.
func (h *blackHole) to(backend string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.backend = backend
}

func (h *blackHole) listen(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	h.listener, h.addr = l, l.Addr().String()
	h.mu.Unlock()
	h.wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.conns = append(h.conns, in)
			backend := h.backend
			h.mu.Unlock()
			h.wg.Go(func() { proxy(in, backend) })
		}
	})
}

// open makes it lead nowhere. A listener that accepts nothing and whose queue is full leaves a dial
// without an answer.
func (h *blackHole) open(t *testing.T) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.shut()
	addr := netip.MustParseAddrPort(h.addr)
	to := &syscall.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	socket := func(kind int) int {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|kind, 0)
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	h.fd = socket(0)
	for _, err := range []error{
		syscall.SetsockoptInt(h.fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1), syscall.Bind(h.fd, to),
		syscall.Listen(h.fd, 0),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		fd := socket(syscall.SOCK_NONBLOCK)
		h.fill = append(h.fill, fd)
		if err := syscall.Connect(fd, to); err != nil && !errors.Is(err, syscall.EINPROGRESS) {
			t.Fatal(err)
		}
	}
}

// close makes it lead to the job server again.
func (h *blackHole) close(t *testing.T) {
	t.Helper()
	h.mu.Lock()
	h.shut()
	h.mu.Unlock()
	h.listen(t)
}

// shut closes everything that is open. h.mu is held.
func (h *blackHole) shut() {
	if h.listener != nil {
		h.listener.Close()
	}
	for _, c := range h.conns {
		c.Close()
	}
	for _, fd := range append(h.fill, h.fd) {
		if fd >= 0 {
			_ = syscall.Close(fd) // it is ours and open
		}
	}
	h.listener, h.conns, h.fill, h.fd = nil, nil, nil, -1
}
