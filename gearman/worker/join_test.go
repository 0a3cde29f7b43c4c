package worker

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/internal/check"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// cuts dials, and cuts the connection over which the last job arrived.
type cuts struct {
	dial gearman.DialFunc
	mu   sync.Mutex
	last net.Conn
}

// cutConn detects jobs in the data it reads.
type cutConn struct {
	net.Conn
	of *cuts
}

func (c *cutConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if strings.Contains(string(p[:n]), "\x00RES\x00\x00\x00\x1f") { // JOB_ASSIGN_UNIQ
		c.of.mu.Lock()
		c.of.last = c.Conn
		c.of.mu.Unlock()
	}
	return n, err
}

func (c *cuts) dialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := c.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &cutConn{Conn: nc, of: c}, nil
}

func (c *cuts) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.last.Close()
}

// foreground submits a job and returns the last packet that its client gets.
func foreground(t *testing.T, dial gearman.DialFunc, key string, addr ...string) <-chan string {
	t.Helper()
	told := submitForeground(t, dial, key, addr...)
	end := make(chan string, 1)
	go func() {
		last := ""
		for packet := range told {
			last = packet
		}
		end <- last
	}()
	return end
}

// toEnd submits a job and returns all packets that its client gets.
func toEnd(t *testing.T, dial gearman.DialFunc) (all []string) {
	t.Helper()
	for packet := range submitForeground(t, dial, "") {
		all = append(all, packet)
	}
	return all
}

// submitForeground submits a job and returns the packets that its client gets until the job ends,
// or an error as the last one.
func submitForeground(t *testing.T, dial gearman.DialFunc, key string, addr ...string) <-chan string {
	t.Helper()
	nc, err := dial(t.Context(), "tcp", strings.Join(addr, ""))
	if err != nil {
		t.Fatal(err)
	}
	client := proto.NewConn(nc, proto.Limits{})
	told := make(chan string)
	go func() {
		defer close(told)
		defer client.Close()
		err := client.Exchange(context.Background(), proto.AppendSubmit(
			nil, proto.TypeSubmitJob, "f", key, "x",
		), func(c *proto.Conn) error {
			for {
				p, err := c.Next()
				if err != nil {
					return err
				}
				if p.Type == proto.TypeJobCreated {
					continue
				}
				_, result, _ := strings.Cut(string(p.Data), "\x00")
				told <- p.Type.String() + " " + result
				if p.Type != proto.TypeWorkWarning {
					return nil
				}
			}
		})
		if err != nil {
			told <- err.Error()
		}
	}()
	return told
}

// logged detects a line in a log.
type logged struct {
	text string
	seen chan struct{}
}

func (l logged) Write(p []byte) (int, error) {
	if strings.Contains(string(p), l.text) {
		select {
		case l.seen <- struct{}{}:
		default:
		}
	}
	return len(p), nil
}

// ends are the outcomes of jobs that the hook gets.
type ends struct {
	mu   sync.Mutex
	list []Done
}

func (e *ends) add(_ *Job, d Done) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, d)
}

func (e *ends) count(joined bool, o Outcome) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, d := range e.list {
		if d.Joined == joined && d.Outcome == o && (!joined && o == Lost) == errors.Is(d.Err, ErrJoined) {
			n++
		}
	}
	return n
}

// TestJobRunsOnceThoughItsConnectionIsCut checks that a job runs once if its connection is cut
// while it runs and the job server gives it to another slot of the same worker. Its client must get
// the outcome of that run.
func TestJobRunsOnceThoughItsConnectionIsCut(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		key     string
		cuts    int
		failure error
		large   bool
		want    string
		outcome Outcome
	}{
		"without a key":          {want: "WORK_COMPLETE result"},
		"with a key":             {key: "k", want: "WORK_COMPLETE result"},
		"three times":            {cuts: 3, want: "WORK_COMPLETE result"},
		"it fails":               {failure: errors.New("broken"), want: "WORK_FAIL ", outcome: Fail},
		"its result is a file's": {large: true, want: "WORK_COMPLETE result"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
				c := &cuts{dial: s.DialContext}
				var done ends
				var ran atomic.Int64
				release := make(chan struct{})
				h := func(_ context.Context, j *Job) ([]byte, error) {
					ran.Add(1)
					<-release
					if tc.large {
						return nil, j.ResultFrom(strings.NewReader("result"), 6)
					}
					return []byte("result"), tc.failure
				}
				o := Options{Dialer: c.dialContext, Concurrency: 3, Hooks: Hooks{JobDone: done.add}}
				inBubble(t, o, []*gearmantest.Server{s}, map[string]Handler{"f": h}, func(*Worker) {
					end := foreground(t, s.DialContext, tc.key)
					time.Sleep(time.Second)
					for range max(1, tc.cuts) {
						c.cut()
						time.Sleep(time.Minute)
					}
					close(release)
					time.Sleep(time.Minute)
					if got := <-end; got != tc.want {
						t.Errorf("the client is told %q, want %q", got, tc.want)
					}
					if n := ran.Load(); n != 1 {
						t.Errorf("it ran %d times", n)
					}
					if first, last := done.count(false, Lost), done.count(true, tc.outcome); first != 1 || last != 1 {
						t.Errorf("ends %+v, want one lost and one joined", done.list)
					}
				})
			})
		})
	}
}

// TestJobRunsOnceThoughGearmandLostIt checks the same with a real job server and its handles.
func TestJobRunsOnceThoughGearmandLostIt(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	c := &cuts{dial: (&net.Dialer{}).DialContext}
	var ran atomic.Int64
	started, release := make(chan struct{}), make(chan struct{})
	joined := make(chan struct{})
	awaited := logged{"waiting for its outcome", make(chan struct{}, 1)}
	w, err := New(Options{Servers: []string{server.Addr}, Concurrency: 2, Dialer: c.dialContext, Logger: slog.New(
		slog.NewTextHandler(awaited, nil),
	), Hooks: Hooks{
		JobDone: func(_ *Job, d Done) {
			if d.Joined && d.Outcome == Complete {
				close(joined)
			}
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Handle(Function{Name: "f", Handler: func(context.Context, *Job) ([]byte, error) {
		if ran.Add(1) == 1 {
			close(started)
		}
		<-release
		return []byte("once"), nil
	}}); err != nil {
		t.Fatal(err)
	}
	run := make(chan error, 1)
	go func() { run <- w.Run(context.Background()) }() // joined below
	end := foreground(t, (&net.Dialer{}).DialContext, "", server.Addr)
	<-started
	c.cut()
	<-awaited.seen
	close(release)
	if got := <-end; got != "WORK_COMPLETE once" {
		t.Errorf("the client is told %q", got)
	}
	<-joined
	if n := ran.Load(); n != 1 {
		t.Errorf("the job ran %d times", n)
	}
	if err := w.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-run; err != nil {
		t.Error(err)
	}
}

// TestOtherJobsAreNotJoined checks that a job that only resembles a running job runs separately.
func TestOtherJobsAreNotJoined(t *testing.T) {
	t.Parallel()
	f, g := &function{}, &function{}
	base := func() *Job { return &Job{handle: "H:a:1", server: "s", fn: f, size: 3, epoch: 1} }
	tests := map[string]struct {
		change func(first, second *Job)
		want   bool
	}{
		"the same":         {func(_, _ *Job) {}, true},
		"another handle":   {func(_, b *Job) { b.handle = "H:a:2" }, false},
		"another server":   {func(_, b *Job) { b.server = "t" }, false},
		"another function": {func(_, b *Job) { b.fn = g }, false},
		"another size":     {func(_, b *Job) { b.size = 4 }, false},
		"the server gave its time up": {
			func(a, b *Job) { a.fn = &function{serverTimeout: time.Second}; b.fn = a.fn }, false,
		},
		"the server may have restarted":     {func(_, b *Job) { b.epoch = 2 }, false},
		"it may, but the key is the same":   {func(a, b *Job) { a.unique, b.unique, b.epoch = "k", "k", 2 }, true},
		"another key":                       {func(a, b *Job) { a.unique, b.unique = "k", "l" }, false},
		"a key that stands for the payload": {func(a, b *Job) { a.unique, b.unique, b.epoch = "-", "-", 2 }, false},
	}
	got, want := map[string]bool{}, map[string]bool{}
	for name, tc := range tests {
		first, second := base(), base()
		tc.change(first, second)
		var r underway
		if r.enter(first, true) != nil {
			t.Fatalf("%s: the first job waits", name)
		}
		with := r.enter(second, true)
		got[name], want[name] = with != nil && with == first.shared, tc.want
		r.end(second, nil, nil)
		r.end(first, nil, nil)
		for i := range r {
			if n := len(r[i].jobs); n > 0 {
				t.Errorf("%s: %d jobs are left", name, n)
			}
		}
	}
	if diff := check.Diff(want, got); diff != "" {
		t.Errorf("jobs that are joined (-want +got):\n%s", diff)
	}
}

// TestDroppedJobsRunOneAfterTheOther checks that a worker with DropOnDisconnect runs a job again if
// its connection is lost, but only when the first run has ended.
func TestDroppedJobsRunOneAfterTheOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		c := &cuts{dial: s.DialContext}
		var ran, now, most atomic.Int64
		h := func(ctx context.Context, _ *Job) ([]byte, error) {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			if ran.Add(1) == 1 {
				<-ctx.Done()
				time.Sleep(10 * time.Second) // it takes long to end
			}
			return []byte("result"), nil
		}
		o := Options{Dialer: c.dialContext, Concurrency: 2, DropOnDisconnect: true}
		inBubble(t, o, []*gearmantest.Server{s}, map[string]Handler{"f": h}, func(*Worker) {
			end := foreground(t, s.DialContext, "")
			time.Sleep(time.Second)
			c.cut()
			time.Sleep(time.Minute)
			if got := <-end; got != "WORK_COMPLETE result" || ran.Load() != 2 || most.Load() != 1 {
				t.Errorf(
					"the client is told %q after %d runs, %d at once; want 2 one after the other", got, ran.Load(),
					most.Load(),
				)
			}
		})
	})
}
