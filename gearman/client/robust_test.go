package client_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// TestCallersLeaveABlockedWrite checks that a caller gives up on a job server that accepts no data
// when its own time is up, even if much is queued before its packet.
func TestCallersLeaveABlockedWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		servers, c := memory(t, 1, client.Options{})
		if err := c.Echo(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		servers[0].SetFault(gearmantest.Fault{Hang: true})
		begin := time.Now()
		var wg sync.WaitGroup
		for _, size := range []int{0, 100, 50 << 10, 100 << 10, 900 << 10, 5 << 20} {
			for range 20 {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
					defer cancel()
					payload := make([]byte, size)
					_, err := c.Do(ctx, &client.Task{Function: "f", Payload: payload})
					if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), servers[0].Addr()) {
						t.Errorf("%d bytes: %v, want the deadline and the server", size, err)
					}
					clear(payload) // it is the caller's again, which the race detector checks
				})
			}
		}
		wg.Wait()
		if took := time.Since(begin); took != 200*time.Millisecond {
			t.Errorf("the last left after %v, want 200ms", took)
		}
		servers[0].SetFault(gearmantest.Fault{})
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestReplyTimeoutCountsProgress checks that a slow transfer in either direction counts as
// progress; ReplyTimeout is only for a job server that does nothing.
func TestReplyTimeoutCountsProgress(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]struct{ up, down int }{ // bytes per second
		"slow upload": {up: 4000, down: 1 << 20}, "slow result before the answer": {up: 1 << 20, down: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := script(t, client.Options{ReplyTimeout: 5 * time.Second}, func(s *scripted) {
					s.nc = &slowWriter{Conn: s.nc, perSecond: limit.down}
					s.in = proto.NewConn(&slowReader{Conn: s.nc, perSecond: limit.up}, proto.Limits{})
					first := ""
					for {
						p, ok := s.next()
						if !ok {
							return
						}
						if sub, _ := p.Submission(); string(sub.Function) == "large" {
							first = s.accept()
							continue
						}
						if first != "" { // the first job's result delays the response to the second submission
							s.send(response(proto.TypeWorkComplete, first, strings.Repeat("x", 100_000)))
							first = ""
						}
						s.accept()
					}
				})
				var wg sync.WaitGroup
				wg.Go(func() {
					if got, err := c.Do(
						t.Context(), &client.Task{Function: "large", Payload: make([]byte, 240_000)},
					); err != nil ||
						len(got) != 100_000 {
						t.Errorf("the large call: %d bytes, %v", len(got), err)
					}
				})
				synctest.Wait()
				begin := time.Now()
				if _, err := c.Background(t.Context(), &client.Task{Function: "small"}); err != nil {
					t.Errorf("the call behind it: %v", err)
				}
				if took := time.Since(begin); took < 30*time.Second {
					t.Errorf("it took %v, which shows nothing", took)
				}
				wg.Wait()
			})
		})
	}
}

type slowReader struct {
	net.Conn
	perSecond int
}

func (c *slowReader) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:min(len(p), max(1, c.perSecond/10))])
	time.Sleep(time.Duration(n) * time.Second / time.Duration(c.perSecond))
	return n, err
}

type slowWriter struct {
	net.Conn
	perSecond int
}

func (c *slowWriter) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		k, err := c.Conn.Write(p[n:min(len(p), n+max(1, c.perSecond/10))])
		n += k
		if err != nil {
			return n, err
		}
		time.Sleep(time.Duration(k) * time.Second / time.Duration(c.perSecond))
	}
	return n, nil
}

// TestSlowConsumerMakesTheServerWait checks that a caller that takes the parts of a result slowly
// makes the job server wait. Memory must not fill, and no other call may be delayed.
func TestSlowConsumerMakesTheServerWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent, taken atomic.Int64
		var most int64
		var connections atomic.Int64
		const parts, size = 100, 200 << 10
		c := script(t, client.Options{}, func(s *scripted) {
			connections.Add(1)
			for {
				p, ok := s.next()
				if !ok {
					return
				}
				h := s.accept()
				if sub, _ := p.Submission(); string(sub.Function) == "parts" {
					for range parts {
						s.send(response(proto.TypeWorkData, h, strings.Repeat("x", size)))
						sent.Add(size)
					}
				}
				s.send(response(proto.TypeWorkComplete, h, "end"))
			}
		})
		var wg sync.WaitGroup
		wg.Go(func() {
			got, err := c.Do(t.Context(), &client.Task{Function: "parts", OnData: func(b []byte) {
				time.Sleep(2 * time.Minute) // longer than KeepAlive and ReplyTimeout together
				most = max(most, sent.Load()-taken.Load())
				taken.Add(int64(len(b)))
			}})
			if err != nil || string(got) != "end" || taken.Load() != parts*size {
				t.Errorf("%q, %v, %d bytes in parts", got, err, taken.Load())
			}
		})
		time.Sleep(time.Minute)
		for range 5 {
			begin := time.Now()
			if got, err := c.Do(t.Context(), &client.Task{Function: "small"}); err != nil || string(got) != "end" ||
				time.Since(begin) > 0 {
				t.Errorf("a call beside it: %q, %v after %v", got, err, time.Since(begin))
			}
		}
		wg.Wait()
		if most > 4<<20 {
			t.Errorf("%d bytes were held at most, want at most 4 MiB", most)
		}
		if _, err := c.Do(t.Context(), &client.Task{Function: "parts", OnData: func([]byte) {}}); err != nil {
			t.Error(err)
		}
		if n := connections.Load(); n != 2 {
			t.Errorf("%d connections, want one for what is small and one, used again, for the parts", n)
		}
	})
}

// TestCallerLeavesParts checks that a caller that stops in the middle of the parts cancels its job,
// or closes its connection, which makes the job server drop the job.
func TestCallerLeavesParts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		servers, c := memory(t, 1, client.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Do(
			ctx, &client.Task{Function: "f", OnData: func([]byte) {}},
		); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the deadline", err)
		}
		synctest.Wait()
		// If the job server confirms the cancellation before the caller has left, the connection is
		// kept.
		if st := servers[0].Stats(); st.Open != 0 && st.Commands["cancel"] == 0 {
			t.Errorf("%d connections are open, want none or that the job was taken back", st.Open)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := servers[0].Stats().Open; n != 0 {
			t.Errorf("%d connections are open, want none", n)
		}
	})
}

// TestLargeTravelsApart checks that small calls don't wait behind the large result of a function
// once the function is known for large results. Large payloads use a separate connection from the
// first one on.
func TestLargeTravelsApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const large = 2 << 20
		c := script(t, client.Options{}, func(s *scripted) {
			s.nc = &slowWriter{Conn: s.nc, perSecond: large / 10}
			s.in = proto.NewConn(&slowReader{Conn: s.nc, perSecond: large / 10}, proto.Limits{})
			for {
				p, ok := s.next()
				if !ok {
					return
				}
				h, size := s.accept(), 1
				if sub, _ := p.Submission(); string(sub.Function) == "large" {
					size = large
				}
				s.send(response(proto.TypeWorkComplete, h, strings.Repeat("x", size)))
			}
		})
		slow := func(function string, payload int) func() {
			return func() {
				if _, err := c.Do(
					t.Context(), &client.Task{Function: function, Payload: make([]byte, payload)},
				); err != nil {
					t.Error(err)
				}
			}
		}
		slow("large", 0)() // the client learns that its results are large
		for name, f := range map[string]func(){"result": slow("large", 0), "payload": slow("small", large)} {
			var wg sync.WaitGroup
			wg.Go(f)
			time.Sleep(3 * time.Second)
			begin := time.Now()
			slow("small", 0)()
			if took := time.Since(begin); took > 10*time.Millisecond {
				t.Errorf("a small call beside a large %s took %v", name, took)
			}
			wg.Wait()
		}
	})
}

// TestRefusedIsAnsweredWithinTheBackOff checks that while the only job server refuses connections,
// calls end at once with its last error, and that it is tried about once a second.
func TestRefusedIsAnsweredWithinTheBackOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		servers, c := memory(t, 1, client.Options{})
		defer c.Close()
		var connects atomic.Int64
		servers[0].Refuse()
		counted := newClient(t, client.Options{Servers: []string{servers[0].Addr()}, Dialer: func(
			ctx context.Context, network, addr string,
		) (net.Conn, error) {
			connects.Add(1)
			return servers[0].DialContext(ctx, network, addr)
		}})
		begin := time.Now()
		for range 1000 {
			_, err := counted.Background(t.Context(), &client.Task{Function: "f"})
			if !errors.Is(err, client.ErrNoServer) || !errors.Is(err, syscall.ECONNREFUSED) ||
				!strings.Contains(err.Error(), servers[0].Addr()) {
				t.Fatalf("%v, want the refusal and the server", err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(begin); took > 11*time.Second {
			t.Errorf("1,000 calls with 10 ms between them took %v", took)
		}
		if n := connects.Load(); n < 5 || n > 25 {
			t.Errorf("%d connects in 10 s, want one or two a second", n)
		}
		if err := servers[0].Accept(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if _, err := counted.Background(t.Context(), &client.Task{Function: "f"}); err != nil {
			t.Errorf("a second after it came back: %v", err)
		}
	})
}

// TestBlackHoleBesideAnOpenServer checks that nobody waits for a job server that doesn't respond to
// connection attempts while another is connected, and that callers wait only a moment if none is
// yet.
func TestBlackHoleBesideAnOpenServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		good := gearmantest.NewServer(gearmantest.InMemory("192.0.2.2:4730"))
		defer good.Close()
		c := newClient(t, client.Options{Servers: []string{
			"192.0.2.1", "192.0.2.2",
		}, ConnectTimeout: 10 * time.Second, Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == "192.0.2.1:4730" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return good.DialContext(ctx, network, addr)
		}})
		var took []time.Duration
		for range 50 {
			begin := time.Now()
			if _, err := c.Background(t.Context(), &client.Task{Function: "f"}); err != nil {
				t.Fatal(err)
			}
			took = append(took, time.Since(begin))
			time.Sleep(time.Second)
		}
		slices.Sort(took)
		if took[len(took)-1] > 250*time.Millisecond || took[len(took)-2] > 0 {
			t.Errorf("the slowest calls took %v, want at most one to wait for 250ms", took[len(took)-3:])
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// names resolves several names; the lookup of a name without an entry hangs.
type names map[string][]string

func (r names) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	ips, ok := r[host]
	if !ok {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if len(ips) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	var out []netip.Addr
	for _, ip := range ips {
		out = append(out, netip.MustParseAddr(ip))
	}
	return out, nil
}

// TestEachNameForItself checks that a name that doesn't resolve, or hangs, affects only its own job
// servers. Changes of other names must still be followed.
func TestEachNameForItself(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]func(names){
		"does not resolve": func(n names) { n["bad"] = nil },
		"hangs":            func(n names) { delete(n, "bad") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				known := &table{ips: []string{"192.0.2.1"}}
				all := names{}
				bad(all)
				r := resolverFunc(func(ctx context.Context, network, host string) ([]netip.Addr, error) {
					if host == "good" {
						return known.LookupNetIP(ctx, network, host)
					}
					return all.LookupNetIP(ctx, network, host)
				})
				_, c := memory(
					t, 2,
					client.Options{Servers: []string{"bad", "good"}, Resolver: r, ResolveInterval: 10 * time.Second},
				)
				begin := time.Now()
				where := func() string {
					t.Helper()
					id, err := c.Background(t.Context(), &client.Task{Function: "f"})
					if err != nil {
						t.Fatal(err)
					}
					return id.Server
				}
				if got := where(); got != "192.0.2.1:4730" || time.Since(begin) > 250*time.Millisecond {
					t.Errorf("the first call: %s after %v", got, time.Since(begin))
				}
				known.set(nil, "192.0.2.2") // the working name moves
				for range 30 {
					before := time.Now()
					where()
					if took := time.Since(before); took > 0 {
						t.Errorf("a call waited for %v", took)
					}
					time.Sleep(time.Second)
				}
				if got := where(); got != "192.0.2.2:4730" {
					t.Errorf("30 s after the good name moved jobs go to %s", got)
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

type resolverFunc func(ctx context.Context, network, host string) ([]netip.Addr, error)

func (f resolverFunc) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return f(ctx, network, host)
}

// TestOtherFamily checks that the addresses of the other IP family are used if no address of the
// first can be reached. A name with addresses of both families stands for the same job servers
// twice.
func TestOtherFamily(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := names{"jobs": {"2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2"}}
		servers, c := memory(t, 2, client.Options{Servers: []string{"jobs"}, Resolver: r, Select: client.InOrder})
		for i, at := range []int{0, 0, 1} { // the second server is used only while the first refuses
			if i == 2 {
				servers[0].Refuse()
				servers[0].CloseConnections()
				synctest.Wait()
			}
			id, err := c.Background(t.Context(), &client.Task{Function: "f"})
			if err != nil || id.Server != servers[at].Addr() {
				t.Errorf("call %d: %v, %v, want %s", i, id, err, servers[at].Addr())
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestStatusByUniqueAsksInTurn checks that a job that went to another job server, because the one
// for its key was down, is found by its key.
func TestStatusByUniqueAsksInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		servers, c := memory(t, 2, client.Options{Select: client.ByKey})
		first, err := c.Background(t.Context(), &client.Task{Function: "f", Key: "probe"})
		if err != nil {
			t.Fatal(err)
		}
		own := servers[slices.IndexFunc(servers, func(s *gearmantest.Server) bool { return s.Addr() == first.Server })]
		own.Refuse()
		own.CloseConnections()
		synctest.Wait()
		if id, err := c.Background(t.Context(), &client.Task{Function: "g", Key: "probe"}); err != nil ||
			id.Server == first.Server {
			t.Fatalf("%v, %v, want the other server", id, err)
		}
		if st, err := c.StatusByKey(t.Context(), "probe"); err != nil || !st.Known {
			t.Errorf("while its own server is away: %+v, %v", st, err)
		}
		own.Restart()
		if err := own.Accept(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if st, err := c.StatusByKey(t.Context(), "probe"); err != nil || !st.Known {
			t.Errorf("when that is back, without the job: %+v, %v", st, err)
		}
	})
}

// TestHooksCallTheClient checks that hooks may call all methods, including Close.
func TestHooksCallTheClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c *client.Client
		var echo, closed error
		down := make(chan struct{})
		s := gearmantest.NewServer(gearmantest.InMemory("192.0.2.1:4730"))
		defer s.Close()
		c, err := client.New(client.Options{Servers: []string{s.Addr()}, Dialer: s.DialContext, Hooks: client.Hooks{
			ConnUp: func(client.Conn) { echo = c.Echo(context.Background(), []byte("from a hook")) },
			ConnDown: func(client.Conn, error) {
				closed = c.Close()
				close(down)
			},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Background(t.Context(), &client.Task{Function: "f"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s.CloseConnections()
		<-down
		if echo != nil || closed != nil {
			t.Errorf("Echo in ConnUp: %v; Close in ConnDown: %v", echo, closed)
		}
		if _, err := c.Background(t.Context(), &client.Task{Function: "f"}); !errors.Is(err, client.ErrClosed) {
			t.Errorf("after a hook closed it: %v", err)
		}
	})
}

// TestKeepAlive checks that a connection with an outstanding job is never silent for longer than
// KeepAlive, and that a vanished job server is detected.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		servers, c := memory(t, 1, client.Options{KeepAlive: 20 * time.Second})
		done := make(chan error, 1)
		go func() { _, err := c.Do(context.Background(), &client.Task{Function: "f"}); done <- err }()
		time.Sleep(10 * time.Minute)
		if n := servers[0].Stats().Requests[proto.TypeEchoReq]; n < 10 || n > 31 {
			t.Errorf("%d echoes in 10 minutes, want about one for each 20 s", n)
		}
		servers[0].SetFault(gearmantest.Fault{Hang: true})
		begin := time.Now()
		if err := <-done; !errors.Is(err, client.ErrDisconnected) || time.Since(begin) > 71*time.Second {
			t.Errorf("%v after %v, want ErrDisconnected soon after KeepAlive and ReplyTimeout", err, time.Since(begin))
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		servers[0].SetFault(gearmantest.Fault{})
	})
}
