package backlog

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
	"github.com/gearman-operator/gearman-operator/internal/telemetry"
)

// These tests run on real job servers over real sockets: they poll for what they expect, with
// deadlines that a busy machine keeps.

const waitLimit = 30 * time.Second

func allowAll(string, netip.AddrPort, string) error { return nil }

// watchReal runs a watcher that polls as fast as the test needs.
func watchReal(t *testing.T, o Options) *Watcher {
	t.Helper()
	o.AddressPolicy = allowAll
	if o.MinPeriod == 0 {
		o.MinPeriod = 50 * time.Millisecond
	}
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

// eventually waits until the pool's sample is as wanted.
func eventually(t *testing.T, w *Watcher, key PoolKey, what string, ok func(Sample) bool) Sample {
	t.Helper()
	for end := time.Now().Add(waitLimit); ; time.Sleep(20 * time.Millisecond) {
		s := sample(t, w, key)
		if ok(s) {
			return s
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v: %+v", what, waitLimit, s)
		}
	}
}

func dialReal(t *testing.T, addr string) *client {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.SetDeadline(time.Now().Add(2 * waitLimit)); err != nil {
		t.Fatal(err)
	}
	c := &client{t, proto.NewConn(nc, proto.Limits{})}
	t.Cleanup(func() { c.conn.Close() })
	return c
}

func (c *client) send(packets []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(packets); err != nil {
		c.t.Fatal(err)
	}
}

var realServers = map[string]func(
	testing.TB, ...string,
) *jobserver.Server{"gearmand": jobserver.Gearmand, "Perl": jobserver.Perl}

func TestRealJobServer(t *testing.T) {
	t.Parallel()
	for name, start := range realServers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := start(t)
			w := watchReal(t, Options{})
			set(
				t, w, poolA,
				Subscription{Servers: []string{srv.Addr}, Functions: []string{"f"}, Period: 50 * time.Millisecond},
			)
			w.SetPods(poolA, []PodRef{{UID: uidOne, Name: "pool-a-1", IP: "127.0.0.1"}})
			eventually(t, w, poolA, "an empty queue", func(s Sample) bool { return !s.Partial })
			c := dialReal(t, srv.Addr)
			c.submit("f")
			c.submit("f")
			eventually(
				t, w, poolA, "two jobs",
				func(s Sample) bool { return s.Functions[0].Queued == 2 && s.Functions[0].Total == 2 },
			)
			if v, err := w.Runnable(t.Context(), poolA, "f"); v != Runnable || err != nil {
				t.Errorf("%v, %v", v, err)
			}

			reporter, err := telemetry.NewReporter(uidOne, "pool-a-1", time.Now(), 1, []string{"f"})
			if err != nil {
				t.Fatal(err)
			}
			worker := dialReal(t, srv.Addr)
			tell := func() {
				id, _ := reporter.Next(time.Now())
				worker.send(proto.AppendSetClientID(nil, id))
			}
			worker.send(proto.AppendCanDo(nil, "f"))
			if got := worker.do(proto.AppendEmpty(nil, proto.Request, proto.TypeGrabJob)); got != proto.TypeJobAssign {
				t.Fatal(got)
			}
			began := time.Now()
			reporter.Start("f", began)
			tell()
			eventually(t, w, poolA, "a busy pod", func(s Sample) bool {
				f := s.Functions[0]
				return f.Queued == 1 && f.Running == 1 && f.Workers == 1 && len(s.Pods) == 1 && s.Pods[0].Busy == 1
			})
			reporter.End("f", began, time.Now(), telemetry.OK)
			tell()
			s := eventually(t, w, poolA, "an idle pod that has done a job", func(s Sample) bool {
				return len(s.Pods) == 1 && s.Pods[0].Busy == 0 && s.Functions[0].Counters.OK == 1
			})
			if !s.PossibleRestart.IsZero() || s.LoadBalanced {
				t.Errorf("%+v", s)
			}

			lost := time.Now()
			srv.Restart(t)
			s = eventually(
				t, w, poolA, "an empty queue after the restart",
				func(s Sample) bool { return s.Functions[0].Total == 0 && !s.Partial },
			)
			if !s.PossibleRestart.After(lost) {
				t.Errorf("restarted after %v, noticed at %v", lost, s.PossibleRestart)
			}
			if err := srv.Pause(); err != nil {
				t.Fatal(err)
			}
			eventually(
				t, w, poolA, "a server that hangs",
				func(s Sample) bool { return s.Partial && s.Servers[0].State == StateTimedOut },
			)
			if err := srv.Resume(); err != nil {
				t.Fatal(err)
			}
			eventually(t, w, poolA, "a server that goes on", func(s Sample) bool { return !s.Partial })
			srv.Stop()
			eventually(
				t, w, poolA, "a server that is gone",
				func(s Sample) bool { return s.Partial && s.Servers[0].State == StateRefused },
			)
		})
	}
}

func TestRealBacklogThatIsNotRunnable(t *testing.T) {
	t.Parallel()
	srv := jobserver.Gearmand(t)
	w := watchReal(t, Options{})
	set(
		t, w, poolA,
		Subscription{
			Servers: []string{srv.Addr}, Functions: []string{"delayed", "abandoned"}, Period: 50 * time.Millisecond,
		},
	)
	c := dialReal(t, srv.Addr)
	if got := c.do(
		proto.AppendSubmitEpoch(nil, "delayed", "", time.Now().Add(time.Hour), "x"),
	); got != proto.TypeJobCreated {
		t.Fatal(got)
	}
	gone := dialReal(t, srv.Addr)
	gone.do(proto.AppendSubmit(nil, proto.TypeSubmitJob, "abandoned", "", "x"))
	gone.conn.Close()
	eventually(
		t, w, poolA, "two jobs",
		func(s Sample) bool { return s.Functions[0].Queued == 1 && s.Functions[1].Queued == 1 },
	)
	for _, f := range []string{"delayed", "abandoned"} {
		if v, err := w.Runnable(t.Context(), poolA, f); v != NotRunnable || err != nil {
			t.Errorf("%s: %v, %v", f, v, err)
		}
	}
	eventually(
		t, w, poolA, "the abandoned job cleared",
		func(s Sample) bool { return s.Functions[0].Queued == 1 && s.Functions[1].Total == 0 },
	)
}

func TestRealServerIsNotLoadBalanced(t *testing.T) {
	t.Parallel()
	for name, start := range realServers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, two := start(t), start(t)
			addrs := []netip.AddrPort{netip.MustParseAddrPort(one.Addr), netip.MustParseAddrPort(two.Addr)}
			dials := 0
			w := New(Options{Dial: func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
				dials++
				if a.Port() == 1 { // stands for a balancer
					a = addrs[dials%2]
				}
				return new(net.Dialer).DialContext(ctx, "tcp", a.String())
			}})
			for addr, want := range map[string]bool{one.Addr: false, "127.0.0.1:1": true} {
				s := newServer(w, serverKey{addr: netip.MustParseAddrPort(addr)}, nil)
				for range 3 {
					if got, err := s.twoServers(t.Context()); got != want || err != nil {
						t.Errorf("%s: %v, %v", addr, got, err)
					}
				}
			}
		})
	}
}
