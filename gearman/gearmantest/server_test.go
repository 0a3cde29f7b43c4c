package gearmantest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/internal/check"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

func TestMain(m *testing.M) { check.Main(m) }

// A conn is a test's connection, with a deadline for everything.
type conn struct {
	t  testing.TB
	nc net.Conn
	r  *proto.Reader
}

func dial(t testing.TB, s *gearmantest.Server) *conn {
	t.Helper()
	nc, err := s.DialContext(t.Context(), "tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	c := &conn{t, nc, proto.NewReader(nc, proto.Limits{})}
	t.Cleanup(func() { _ = nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *conn) send(typ proto.Type, args ...string) {
	c.t.Helper()
	if _, err := c.nc.Write(
		proto.AppendPacket(nil, proto.Request, typ, []byte(strings.Join(args, "\x00"))),
	); err != nil {
		c.t.Fatal(err)
	}
}

func (c *conn) next() (string, error) {
	p, err := c.r.Next()
	if err != nil {
		return "", err
	}
	return p.Type.String() + " " + strings.ReplaceAll(string(p.Data), "\x00", " "), nil
}

func (c *conn) want(want string) {
	c.t.Helper()
	got, err := c.next()
	if err != nil {
		c.t.Fatalf("waited for %q: %v", want, err)
	}
	if got != want {
		c.t.Fatalf("got %q, want %q", got, want)
	}
}

func (c *conn) sync() {
	c.t.Helper()
	c.send(proto.TypeEchoReq, "sync")
	c.want("ECHO_RES sync")
}

// eventually polls, since the server closes connections asynchronously.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come true", what)
		}
	}
}

func both(t *testing.T, f func(t *testing.T, o gearmantest.Options)) {
	t.Helper()
	t.Run("loopback", func(t *testing.T) { t.Parallel(); f(t, gearmantest.Options{}) })
	t.Run("memory", func(t *testing.T) { t.Parallel(); f(t, gearmantest.InMemory("")) })
}

// start starts a server, with the zero options unless some are given.
func start(t *testing.T, opts ...gearmantest.Options) *gearmantest.Server {
	t.Helper()
	s := gearmantest.NewServer(append(opts, gearmantest.Options{})[0])
	t.Cleanup(s.Close)
	return s
}

func TestJob(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o gearmantest.Options) {
		s := start(t, o)
		client, worker := dial(t, s), dial(t, s)
		worker.send(proto.TypeCanDo, "f")
		worker.send(proto.TypePreSleep)
		worker.sync()
		data := strings.Repeat("x", 3<<20)
		client.send(proto.TypeSubmitJob, "f", "", data)
		client.want("JOB_CREATED H:gearmantest:1")
		worker.want("NOOP ")
		worker.send(proto.TypeGrabJob)
		worker.want("JOB_ASSIGN H:gearmantest:1 f " + data)
		if diff := check.Diff(
			gearmantest.FunctionStatus{Name: "f", Total: 1, Running: 1, Workers: 1}, s.Function("f"),
		); diff != "" {
			t.Errorf("function (-want +got):\n%s", diff)
		}
		worker.send(proto.TypeWorkComplete, "H:gearmantest:1", data)
		client.want("WORK_COMPLETE H:gearmantest:1 " + data)
		if got := s.Function("nosuch"); got != (gearmantest.FunctionStatus{Name: "nosuch"}) {
			t.Errorf("unknown function: got %+v", got)
		}
	})
}

func TestStats(t *testing.T) {
	t.Parallel()
	s := start(t, gearmantest.InMemory("a:1"))
	c := dial(t, s)
	c.send(proto.TypeSubmitJobBG, "f", "", "x")
	c.want("JOB_CREATED H:gearmantest:1")
	if _, err := io.WriteString(c.nc, "STATUS\nnosuch\n"); err != nil {
		t.Fatal(err)
	}
	for range 3 { // a row, the end, an error
		if _, err := c.r.ReadLine(); err != nil {
			t.Fatal(err)
		}
	}
	if h := s.Submit("f", "", nil); h != "H:gearmantest:2" {
		t.Errorf("Submit: got %q", h)
	}
	want := gearmantest.Stats{
		Open: 1, Accepted: 1, BytesIn: 30, Requests: map[proto.Type]uint64{proto.TypeSubmitJobBG: 1},
		Commands: map[string]uint64{"status": 1, "other": 1}, JobsAdded: 2,
	}
	got := s.Stats()
	got.BytesOut = 0
	if diff := check.Diff(want, got); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
	if got.Total() != 3 {
		t.Errorf("total: got %d, want 3", got.Total())
	}
	s.Restart()
	if got := s.Stats(); got.JobsAdded != 2 || got.Accepted != 1 {
		t.Errorf("after a restart: got %+v", got)
	}
	eventually(t, "the connection's end", func() bool { return s.Stats().Open == 0 })
}

func TestFaults(t *testing.T) {
	t.Parallel()
	echo := func(c *conn) (string, error) {
		c.send(proto.TypeEchoReq, "hello")
		return c.next()
	}
	tests := map[string]struct {
		fault   gearmantest.Fault
		want    string
		wantErr error
	}{
		"none":              {want: "ECHO_RES hello"},
		"cut in the header": {fault: gearmantest.Fault{CutAfter: 5}, wantErr: io.ErrUnexpectedEOF},
		"cut in the data":   {fault: gearmantest.Fault{CutAfter: 14}, wantErr: io.ErrUnexpectedEOF},
		"cut at the end":    {fault: gearmantest.Fault{CutAfter: 17}, want: "ECHO_RES hello"},
		"garbage": {
			fault: gearmantest.Fault{Garbage: []byte("\x00RUBBISH rubbish")}, wantErr: proto.ErrMagic,
		},
		"slow":              {fault: gearmantest.Fault{BytesPerSecond: 1000}, want: "ECHO_RES hello"},
		"late":              {fault: gearmantest.Fault{Delay: time.Millisecond}, want: "ECHO_RES hello"},
		"dropped":           {fault: gearmantest.Fault{DropOn: proto.TypeEchoReq}, wantErr: io.EOF},
		"dropped at once":   {fault: gearmantest.Fault{DropOn: proto.TypeEchoReq, DropNth: 1}, wantErr: io.EOF},
		"dropped later":     {fault: gearmantest.Fault{DropOn: proto.TypeEchoReq, DropNth: 2}, want: "ECHO_RES hello"},
		"dropped when done": {fault: gearmantest.Fault{DropOn: proto.TypeEchoReq, DropHandled: true}, wantErr: io.EOF},
		"another dropped":   {fault: gearmantest.Fault{DropOn: proto.TypeGrabJob}, want: "ECHO_RES hello"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, o gearmantest.Options) {
				s := start(t, o)
				s.SetFault(tc.fault)
				got, err := echo(dial(t, s))
				if got != tc.want || !errors.Is(err, tc.wantErr) {
					t.Errorf("got %q, %v; want %q, %v", got, err, tc.want, tc.wantErr)
				}
				s.SetFault(gearmantest.Fault{})
				if got, err := echo(dial(t, s)); err != nil || got != "ECHO_RES hello" {
					t.Errorf("when healed: got %q, %v", got, err)
				}
			})
		})
	}
}

func TestDropHandled(t *testing.T) {
	t.Parallel()
	s := start(t)
	for handled, want := range map[bool]int{false: 0, true: 1} {
		f := fmt.Sprint("f", handled)
		s.SetFault(gearmantest.Fault{DropOn: proto.TypeSubmitJobBG, DropHandled: handled})
		c := dial(t, s)
		c.send(proto.TypeSubmitJobBG, f, "", "")
		if got, err := c.next(); err == nil {
			t.Errorf("handled %t: got %q, want the end", handled, got)
		}
		if got := s.Function(f).Total; got != want {
			t.Errorf("handled %t: %d jobs, want %d", handled, got, want)
		}
	}
}

func TestDropOnText(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.SetFault(gearmantest.Fault{DropOnText: "status", DropNth: 2})
	c := dial(t, s)
	for i, want := range []error{nil, io.EOF} {
		if _, err := io.WriteString(c.nc, "Status\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.r.ReadLine(); !errors.Is(err, want) {
			t.Errorf("status %d: got %v, want %v", i+1, err, want)
		}
	}
}

// TestHang checks that a hung server accepts connections and sends nothing, and that it processes
// the requests sent meanwhile when it continues.
func TestHang(t *testing.T) {
	t.Parallel()
	s := start(t)
	before := dial(t, s)
	before.sync()
	s.SetFault(gearmantest.Fault{Hang: true})
	after := dial(t, s)
	for _, c := range []*conn{before, after} {
		c.send(proto.TypeEchoReq, "hello")
		if err := c.nc.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if got, err := c.next(); err == nil {
			t.Fatalf("a hung server answered %q", got)
		}
		if err := c.nc.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	s.SetFault(gearmantest.Fault{})
	for _, c := range []*conn{before, after} {
		c.r = proto.NewReader(c.nc, proto.Limits{}) // the old one keeps the timeout
		c.want("ECHO_RES hello")
	}
}

func TestCloseWhileHung(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o gearmantest.Options) {
		s := start(t, o)
		c := dial(t, s)
		s.SetFault(gearmantest.Fault{Hang: true})
		c.send(proto.TypeEchoReq, "hello")
		s.Close()
		if got, err := c.next(); err == nil {
			t.Errorf("a closed server answered %q", got)
		}
	})
}

func TestRefuse(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o gearmantest.Options) {
		s := start(t, o)
		old := dial(t, s)
		old.sync() // the server has accepted it: connections that still wait in the listener's queue are refused, too
		if err := s.Accept(); err == nil {
			t.Error("Accept without Refuse: no error")
		}
		s.Refuse()
		if _, err := s.DialContext(t.Context(), "tcp", s.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial: got %v, want a refused connection", err)
		}
		old.sync()
		if err := s.Accept(); err != nil {
			t.Fatal(err)
		}
		dial(t, s).sync()
		s.Close()
		s.Close() // the second call does nothing
		if _, err := s.DialContext(t.Context(), "tcp", s.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial after Close: got %v, want a refused connection", err)
		}
		if err := s.Accept(); err == nil {
			t.Error("Accept after Close: no error")
		}
	})
}

func TestRestart(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		keep bool
		want map[string]int // jobs by function
	}{
		"without its queue": {want: map[string]int{"bg": 0, "fg": 0, "running": 0}},
		"with its queue":    {keep: true, want: map[string]int{"bg": 2, "fg": 0, "running": 1}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			c := dial(t, s)
			c.send(proto.TypeSubmitJob, "fg", "", "")
			c.send(proto.TypeSubmitJobBG, "bg", "u", "1")
			c.send(proto.TypeSubmitJobHighBG, "bg", "", "2")
			c.send(proto.TypeSubmitJobBG, "running", "", "3")
			c.send(proto.TypeCanDo, "running")
			c.send(proto.TypeGrabJob)
			for range 5 {
				if _, err := c.next(); err != nil {
					t.Fatal(err)
				}
			}
			if tc.keep {
				s.RestartWithQueue()
			} else {
				s.Restart()
			}
			if got, err := c.next(); !errors.Is(err, io.EOF) {
				t.Errorf("a connection lived on: %q, %v", got, err)
			}
			for f, want := range tc.want {
				if got := s.Function(f); got.Total != want || got.Running != 0 || got.Workers != 0 {
					t.Errorf("%s: got %+v, want %d jobs", f, got, want)
				}
			}
			w := dial(t, s)
			w.send(proto.TypeCanDo, "bg")
			w.send(proto.TypeGrabJobUniq)
			want := "NO_JOB "
			if tc.keep {
				want = "JOB_ASSIGN_UNIQ H:gearmantest:2 bg  2" // high first; the handles are new
			}
			w.want(want)
		})
	}
}

func TestCloseConnections(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := dial(t, s)
	c.send(proto.TypeSubmitJobBG, "f", "", "")
	c.send(proto.TypeCanDo, "f")
	c.send(proto.TypeGrabJob)
	for range 2 {
		if _, err := c.next(); err != nil {
			t.Fatal(err)
		}
	}
	s.CloseConnections()
	if _, err := c.next(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want the end", err)
	}
	if got, want := s.Function("f"), (gearmantest.FunctionStatus{Name: "f", Total: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestUnstarted(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o gearmantest.Options) {
		s := gearmantest.NewUnstarted(o)
		s.Submit("f", "", []byte("x"))
		if _, err := s.DialContext(t.Context(), "tcp", s.Addr()); err == nil {
			t.Error("an unstarted server takes connections")
		}
		s.Start()
		defer s.Close()
		c := dial(t, s)
		c.send(proto.TypeCanDo, "f")
		c.send(proto.TypeGrabJob)
		c.want("JOB_ASSIGN H:gearmantest:1 f x")
		defer func() {
			if recover() == nil {
				t.Error("a second Start: no panic")
			}
		}()
		s.Start()
	})
}

func TestOptions(t *testing.T) {
	t.Parallel()
	s := start(
		t, gearmantest.Options{
			Version: "2.0.0", HandlePrefix: "H:x", Clock: func() time.Time { return time.Unix(100, 0) },
		},
	)
	c := dial(t, s)
	if _, err := io.WriteString(c.nc, "version\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := c.r.ReadLine(); err != nil || string(line) != "OK 2.0.0" {
		t.Errorf("version: got %q, %v", line, err)
	}
	c.send(proto.TypeSubmitJobEpoch, "f", "", "101", "later")
	c.want("JOB_CREATED H:x:1")
	c.send(proto.TypeSubmitJobEpoch, "f", "", "100", "now")
	c.want("JOB_CREATED H:x:2")
	c.send(proto.TypeCanDo, "f")
	c.send(proto.TypeGrabJob)
	c.want("JOB_ASSIGN H:x:2 f now")
	c.send(proto.TypeGrabJob)
	c.want("NO_JOB ")
}

func TestDialer(t *testing.T) {
	t.Parallel()
	a, b := start(t, gearmantest.InMemory("a:4730")), start(t, gearmantest.InMemory("b:4730"))
	dialer := gearmantest.Dialer(a, b)
	ctx := gearmantest.WithClientIP(t.Context(), "10.1.2.3")
	nc, err := dialer(ctx, "tcp", "b:4730")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if got := fmt.Sprint(
		nc.RemoteAddr(), " ", nc.LocalAddr(), " ", nc.LocalAddr().Network(),
	); got != "b:4730 10.1.2.3:0 memory" {
		t.Errorf("addresses: got %q", got)
	}
	if _, err := io.WriteString(nc, "workers\n"); err != nil {
		t.Fatal(err)
	}
	line, err := proto.NewReader(nc, proto.Limits{}).ReadLine()
	if err != nil || !strings.HasSuffix(string(line), " 10.1.2.3 - :") {
		t.Errorf("workers: got %q, %v", line, err)
	}
	if got := a.Stats().Accepted; got != 0 {
		t.Errorf("the other server got %d connections", got)
	}
	var dns *net.DNSError
	if _, err := dialer(ctx, "tcp", "c:4730"); !errors.As(err, &dns) || !dns.IsNotFound {
		t.Errorf("an unknown address: got %v", err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := dialer(cancelled, "tcp", "a:4730"); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled dial: got %v", err)
	}
}

// TestSynctest checks that delays and timeouts are exact in a bubble, where time passes only when
// all goroutines wait.
func TestSynctest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory(""))
		defer s.Close()
		begin := time.Now()
		c := dial(t, s)
		if err := c.nc.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		defer c.nc.Close()

		s.SetFault(gearmantest.Fault{Delay: time.Hour})
		c.sync()
		s.SetFault(gearmantest.Fault{BytesPerSecond: 1})
		c.sync() // 16 bytes, the first at once
		if got, want := time.Since(begin), time.Hour+15*time.Second; got != want {
			t.Errorf("two answers took %s, want %s", got, want)
		}
		s.SetFault(gearmantest.Fault{})

		c.send(proto.TypeSubmitJobEpoch, "f", "", fmt.Sprint(time.Now().Unix()+30), "x")
		c.want("JOB_CREATED H:gearmantest:1")
		c.send(proto.TypeCanDoTimeout, "f", "2500")
		c.send(proto.TypeGrabJob)
		c.want("NO_JOB ")
		time.Sleep(30 * time.Second)
		c.send(proto.TypeGrabJob)
		c.want("JOB_ASSIGN H:gearmantest:1 f x")
		time.Sleep(2499 * time.Millisecond)
		synctest.Wait()
		if got := s.Function("f").Running; got != 1 {
			t.Errorf("before the timeout %d jobs run, want 1", got)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if got := s.Function("f").Running; got != 0 {
			t.Errorf("after the timeout %d jobs run, want 0", got)
		}
	})
}

// TestConcurrent checks that many concurrent clients and workers lose no job and run none twice.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o gearmantest.Options) {
		const clients, jobs, workers = 8, 200, 4
		s := start(t, o)
		var mu sync.Mutex
		ran := map[string]int{}
		var wg, submitters sync.WaitGroup
		done := make(chan struct{})
		for range workers {
			w := dial(t, s)
			wg.Go(func() {
				w.send(proto.TypeCanDo, "f")
				for {
					w.send(proto.TypeGrabJobUniq)
					got, err := w.next()
					if err != nil {
						t.Error(err)
						return
					}
					if words := strings.Split(got, " "); words[0] == "JOB_ASSIGN_UNIQ" {
						mu.Lock()
						ran[words[4]]++
						mu.Unlock()
						w.send(proto.TypeWorkComplete, words[1], words[4])
						continue
					}
					select {
					case <-done:
						return
					default:
						time.Sleep(time.Millisecond)
					}
				}
			})
		}
		for i := range clients {
			c := dial(t, s)
			submitters.Go(func() {
				var all []byte
				for j := range jobs {
					all = proto.AppendSubmit(all, proto.TypeSubmitJob, "f", "", fmt.Sprintf("%d/%d", i, j))
				}
				wg.Go(func() {
					if _, err := c.nc.Write(all); err != nil {
						t.Error(err)
					}
				})
				var results []string
				for range 2 * jobs {
					got, err := c.next()
					if err != nil {
						t.Error(err)
						return
					}
					if words := strings.Split(got, " "); words[0] == "WORK_COMPLETE" {
						results = append(results, words[2])
					}
				}
				slices.Sort(results)
				if n := len(slices.Compact(results)); n != jobs {
					t.Errorf("client %d got %d results, want %d", i, n, jobs)
				}
			})
		}
		submitters.Wait()
		close(done)
		wg.Wait()
		if len(ran) != clients*jobs {
			t.Errorf("%d jobs ran, want %d", len(ran), clients*jobs)
		}
		for job, n := range ran {
			if n != 1 {
				t.Errorf("job %s ran %d times", job, n)
			}
		}
	})
}

// TestListener checks that a server with the caller's listener can be reached at that address, even
// after it has refused connections for a while.
func TestListener(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := gearmantest.NewServer(gearmantest.Options{Listener: l})
	defer s.Close()
	if s.Addr() != l.Addr().String() {
		t.Fatalf("Addr = %s, want %s", s.Addr(), l.Addr())
	}
	dial := func() error {
		nc, err := net.Dial("tcp", s.Addr())
		if err == nil {
			_ = nc.Close()
		}
		return err
	}
	if err := dial(); err != nil {
		t.Error(err)
	}
	s.Refuse()
	if dial() == nil {
		t.Error("the server takes connections while it refuses them")
	}
	if err := s.Accept(); err != nil {
		t.Error(err)
	}
	if err := dial(); err != nil {
		t.Error(err)
	}
}
