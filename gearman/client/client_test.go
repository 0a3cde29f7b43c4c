package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/internal/check"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
	"github.com/gearman-operator/gearman-operator/gearman/worker"
)

func TestMain(m *testing.M) { check.Main(m) }

func newClient(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	if o.ConnectTimeout == 0 {
		o.ConnectTimeout = 30 * time.Second
	}
	c, err := client.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func startWorker(t *testing.T, concurrency int, handlers map[string]worker.Handler, addrs ...string) {
	t.Helper()
	w, err := worker.New(worker.Options{Servers: addrs, Concurrency: concurrency})
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range handlers {
		if err := w.Handle(worker.Function{Name: name, Handler: h}); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() { done <- w.Run(context.WithoutCancel(t.Context())) }() // joined by the cleanup
	t.Cleanup(func() {
		_ = w.StopAndCancel(context.Background()) // this context never ends
		if err := <-done; err != nil && !errors.Is(err, worker.ErrStopped) {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := w.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

var handlers = map[string]worker.Handler{
	"echo": func(_ context.Context, j *worker.Job) ([]byte, error) { return j.Payload(), nil },
	"fail": func(context.Context, *worker.Job) ([]byte, error) { return nil, errors.New("no") },
	"except": func(context.Context, *worker.Job) ([]byte, error) {
		return nil, &gearman.JobError{Exception: []byte("boom")}
	},
	"talk": func(_ context.Context, j *worker.Job) ([]byte, error) {
		return []byte("end"), errors.Join(
			j.Status(1, 3), j.Data([]byte("a")), j.Warning([]byte("w")), j.Data([]byte("b")),
		)
	},
	"unique": func(_ context.Context, j *worker.Job) ([]byte, error) { return []byte(j.Key()), nil },
	"stuck": func(ctx context.Context, _ *worker.Job) ([]byte, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	},
}

func TestForeground(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(
		testing.TB, ...string,
	) *jobserver.Server{"gearmand": jobserver.Gearmand, "perl": jobserver.Perl} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := start(t).Addr
			startWorker(t, 2, handlers, addr)
			plain := newClient(t, client.Options{Servers: []string{addr}})
			excepting := newClient(t, client.Options{Servers: []string{addr}, Exceptions: true})
			ctx := within(t)
			for _, payload := range []string{"", "abc", "a\x00b", strings.Repeat("x", 1<<20)} {
				got, err := plain.Do(ctx, &client.Task{Function: "echo", Payload: []byte(payload)})
				if err != nil || string(got) != payload {
					t.Errorf("Do: %.40q, %v", got, err)
				}
			}
			if got, err := plain.Do(
				ctx, &client.Task{Function: "unique", Key: "key", Priority: gearman.High},
			); err != nil ||
				string(got) != "key" && name != "perl" {
				t.Errorf("unique key: %q, %v", got, err)
			}
			_, err := plain.Do(ctx, &client.Task{Function: "fail"})
			if !errors.Is(err, client.ErrFailed) || !strings.Contains(err.Error(), addr) {
				t.Errorf("fail: %v", err)
			}
			var ee *gearman.JobError
			_, err = plain.Do(ctx, &client.Task{Function: "except"})
			if !errors.Is(err, client.ErrFailed) ||
				!errors.As(err, &ee) || ee.Exception != nil || ee.Reason != gearman.ReasonFailed ||
				ee.Function != "except" ||
				ee.ID.Server != addr {
				t.Errorf("exception that was not asked for: %v", err)
			}
			var told string
			_, err = excepting.RunSet(ctx)
			if err != nil {
				t.Error(err)
			}
			res, err := excepting.RunSet(
				ctx, &client.Task{Function: "except", OnException: func(b []byte) { told = string(b) }},
			)
			if err != nil || !errors.As(res[0].Err, &ee) || string(ee.Exception) != "boom" ||
				ee.Reason != gearman.ReasonException || told != "boom" ||
				!errors.Is(res[0].Err, client.ErrFailed) {
				t.Errorf("exception: %v, %v, %q", err, res[0].Err, told)
			}
			if err := plain.Echo(ctx, []byte("x\x00y")); err != nil {
				t.Error(err)
			}
			if name == "perl" {
				return // it has no data, warnings, or status by key
			}
			var log []string
			got, err := plain.Do(ctx, &client.Task{
				Function:  "talk",
				OnCreated: func(id gearman.JobID) { log = append(log, "created at "+id.Server) },
				OnStatus:  func(n, d uint64) { log = append(log, fmt.Sprint("status ", n, "/", d)) },
				OnData:    func(b []byte) { log = append(log, "data "+string(b)) },
				OnWarning: func(b []byte) { log = append(log, "warning "+string(b)) },
			})
			log = append(log, "result "+string(got))
			want := []string{"created at " + addr, "status 1/3", "data a", "warning w", "data b", "result end"}
			if diff := check.Diff(want, log); diff != "" || err != nil {
				t.Error(err, diff)
			}
			if got, err := plain.Do(ctx, &client.Task{Function: "talk"}); err != nil || string(got) != "abend" {
				t.Errorf("parts without OnData: %q, %v", got, err)
			}
		})
	}
}

// TestJoinedJobsOnOneConnection checks that each call sees only its own copy of a packet. A
// connection that joins a job several times gets each packet as many times.
func TestJoinedJobsOnOneConnection(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(
		testing.TB, ...string,
	) *jobserver.Server{"gearmand": jobserver.Gearmand, "perl": jobserver.Perl} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := start(t).Addr
			c := newClient(t, client.Options{Servers: []string{addr}})
			ctx := within(t)
			var mu sync.Mutex
			runs := 0
			var tasks []*client.Task
			statuses := make([]int, 3)
			joined := make(chan struct{}, 3)
			for i := range 3 {
				tasks = append(tasks, &client.Task{
					Function: "joined", Key: "k", OnCreated: func(gearman.JobID) { joined <- struct{}{} },
					OnStatus: func(_, _ uint64) { statuses[i]++ },
				})
			}
			done := make(chan struct{})
			var results []client.Result
			var err error
			go func() { defer close(done); results, err = c.RunSet(ctx, tasks...) }()
			for range 3 { // the worker starts when all three have joined
				select {
				case <-joined:
				case <-ctx.Done():
					t.Fatal("not all have joined")
				}
			}
			startWorker(t, 1, map[string]worker.Handler{"joined": func(
				_ context.Context, j *worker.Job,
			) ([]byte, error) {
				mu.Lock()
				defer mu.Unlock()
				runs++
				return []byte("r"), errors.Join(j.Status(1, 2), j.Status(2, 2))
			}}, addr)
			<-done
			if err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if runs != 1 {
				t.Fatalf("ran %d times", runs)
			}
			for i, r := range results {
				if r.Err != nil || string(r.Data) != "r" || statuses[i] != 2 {
					t.Errorf("task %d: %q, %v, %d status reports, want 2", i, r.Data, r.Err, statuses[i])
				}
			}
		})
	}
}

func TestBackgroundAndStatus(t *testing.T) {
	t.Parallel()
	addr := jobserver.Gearmand(t).Addr
	c := newClient(t, client.Options{Servers: []string{addr}})
	ctx := within(t)
	low, err := c.Background(
		ctx, &client.Task{Function: "f", Payload: []byte("low"), Priority: gearman.Low, Key: "key"},
	)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.Background(
		ctx, &client.Task{Function: "f", Payload: []byte("x"), Key: "key"},
	); err != nil || again != low {
		t.Errorf("the same key: %v, %v, want %v", again, err, low)
	}
	if _, err := c.Background(
		ctx, &client.Task{Function: "f", Payload: []byte("high"), Priority: gearman.High},
	); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Background(
		ctx, &client.Task{Function: "f", Payload: []byte("same"), Key: gearman.KeyOf([]byte("same"))},
	); err != nil {
		t.Fatal(err)
	}
	at, err := c.Background(ctx, &client.Task{Function: "later", At: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []gearman.JobID{low, at} {
		if st, err := c.Status(ctx, id); err != nil || !st.Known || st.Running {
			t.Errorf("Status: %+v, %v", st, err)
		}
	}
	if st, err := c.StatusByKey(ctx, "key"); err != nil || !st.Known {
		t.Errorf("StatusByKey: %+v, %v", st, err)
	}
	if st, err := c.StatusByKey(ctx, "no such"); err != nil || st.Known {
		t.Errorf("StatusByKey of nothing: %+v, %v", st, err)
	}
	if st, err := c.Status(ctx, gearman.JobID{Server: addr, Handle: "H:x:99"}); err != nil || st.Known {
		t.Errorf("Status of nothing: %+v, %v", st, err)
	}
	if _, err := c.Status(
		ctx, gearman.JobID{Server: addr, Handle: strings.Repeat("h", 64)},
	); !errors.Is(err, proto.ErrName) {
		t.Errorf("Status of a handle that gets no answer: %v", err)
	}
	if _, err := c.Status(ctx, gearman.JobID{Server: "127.0.0.1:9", Handle: "h"}); !errors.Is(err, client.ErrNoServer) {
		t.Errorf("Status at a server that isn't ours: %v", err)
	}
	var got []string
	all := make(chan struct{})
	startWorker(t, 1, map[string]worker.Handler{"f": func(_ context.Context, j *worker.Job) ([]byte, error) {
		if got = append(got, string(j.Payload())); len(got) == 3 {
			close(all)
		}
		return nil, nil
	}}, addr)
	<-all
	if diff := check.Diff([]string{"high", "same", "low"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]client.Options{
		"no servers": {}, "bad address": {Servers: []string{"a:b"}},
		"bad selection": {Servers: []string{"h"}, Select: 9},
	} {
		if _, err := client.New(o); !errors.Is(err, client.ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := newClient(t, client.Options{Servers: []string{"127.0.0.1:1"}})
	ctx := within(t)
	for name, tt := range map[string]struct {
		task client.Task
		want error
	}{
		"name":     {client.Task{Function: "a b"}, proto.ErrName},
		"unique":   {client.Task{Function: "f", Key: gearman.Key(strings.Repeat("u", 64))}, proto.ErrName},
		"priority": {client.Task{Function: "f", Priority: 7}, client.ErrTask},
		"delayed":  {client.Task{Function: "f", At: time.Now()}, client.ErrTask},
		"delayed high": {
			client.Task{Function: "f", Background: true, At: time.Now(), Priority: gearman.High}, client.ErrTask,
		},
		"nobody listens": {client.Task{Function: "f"}, client.ErrNoServer},
	} {
		res, err := c.RunSet(ctx, &tt.task)
		if err != nil || !errors.Is(res[0].Err, tt.want) {
			t.Errorf("%s: %v, want %v", name, res[0].Err, tt.want)
		}
	}
	if _, err := c.Do(ctx, &client.Task{Function: "f", At: time.Now()}); !errors.Is(err, client.ErrTask) {
		t.Errorf("Do of a delayed job: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Do(ctx, &client.Task{Function: "f"}); !errors.Is(err, client.ErrClosed) {
		t.Errorf("Do of a closed client: %v", err)
	}
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	addr := jobserver.Gearmand(t).Addr
	startWorker(t, 1, map[string]worker.Handler{"stuck": handlers["stuck"]}, addr)
	startWorker(t, 1, map[string]worker.Handler{"echo": handlers["echo"]}, addr)
	c := newClient(t, client.Options{Servers: []string{addr}})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := c.Do(ctx, &client.Task{Function: "stuck"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Do: %v", err)
	}
	var failed error
	res, err := c.RunSet(within(t),
		&client.Task{Function: "stuck", Timeout: 20 * time.Millisecond, OnFail: func(err error) { failed = err }},
		&client.Task{Function: "echo", Payload: []byte("x")})
	if err != nil || !errors.Is(res[0].Err, context.DeadlineExceeded) || failed == nil || res[1].Err != nil ||
		string(res[1].Data) != "x" {
		t.Errorf("a task's own deadline: %v, %v, %v", err, res, failed)
	}
	set, end := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer end()
	res, err = c.RunSet(set, &client.Task{Function: "nobody"}, &client.Task{Function: "echo"})
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(res[0].Err, context.DeadlineExceeded) {
		t.Errorf("a set's deadline: %v, %v", err, res)
	}
}

// TestEndedContext checks that a call sends nothing if its context has ended before.
func TestEndedContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		servers, c := memory(t, 1, client.Options{})
		if err := c.Echo(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Background(ctx, &client.Task{Function: "f"}); !errors.Is(err, context.Canceled) ||
			errors.Is(err, client.ErrUncertain) {
			t.Errorf("background: %v", err)
		}
		if _, err := c.Do(
			ctx, &client.Task{Function: "f"},
		); !errors.Is(err, context.Canceled) || errors.Is(err, client.ErrUncertain) {
			t.Errorf("foreground: %v", err)
		}
		synctest.Wait()
		if n := servers[0].Function("f").Total; n != 0 {
			t.Errorf("%d jobs were submitted", n)
		}
	})
}

// TestRunEach checks that RunEach yields each result as soon as its task has ended, and that
// breaking out of the loop abandons the others.
func TestRunEach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var canceled []string
		c := script(t, client.Options{}, func(s *scripted) {
			for {
				p, ok := s.next()
				if !ok {
					return
				}
				if p.Type == 0 {
					canceled = append(canceled, string(p.Data))
					s.send([]byte("OK\r\n"))
					continue
				}
				h := s.accept()
				if sub, _ := p.Submission(); string(sub.Function) == "second" {
					s.send(response(proto.TypeWorkComplete, h, "2"))
				} else if string(sub.Function) == "first" {
					go func() {
						time.Sleep(time.Minute)
						s.send(response(proto.TypeWorkComplete, h, "1"))
					}()
				}
			}
		})
		var got []string
		begin := time.Now()
		for i, r := range c.RunEach(t.Context(),
			&client.Task{Function: "first"}, &client.Task{
				Function: "second",
			}, &client.Task{Function: "a b"}, &client.Task{Function: "never"}) {
			got = append(got, fmt.Sprint(i, " ", string(r.Data), " ", r.Err != nil, " ", time.Since(begin)))
			if i == 0 {
				break
			}
		}
		want := []string{"2  true 0s", "1 2 false 0s", "0 1 false 1m0s"}
		if diff := check.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		synctest.Wait()
		if diff := check.Diff([]string{"cancel job H:x:111"}, canceled); diff != "" {
			t.Errorf("the task that was left:\n%s", diff)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		n := 0
		for _, r := range c.RunEach(ctx, &client.Task{Function: "never"}, &client.Task{Function: "never"}) {
			if n++; !errors.Is(r.Err, context.DeadlineExceeded) {
				t.Errorf("%v, want the deadline", r.Err)
			}
		}
		if n != 2 {
			t.Errorf("%d results, want one for each task", n)
		}
	})
}

// TestRefusedPayloadIsTheCallersAgain checks that a call can end while its payload is still being
// sent, and that the payload is then the caller's again.
func TestRefusedPayloadIsTheCallersAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := script(t, client.Options{}, func(s *scripted) {
			if _, err := s.in.ReadLine(); err != nil { // version
				t.Error(err)
			}
			s.send([]byte("OK 1.1.20\n"))
			if _, err := s.in.ReadHeader(); err != nil {
				t.Error(err)
			}
			s.send(proto.AppendError(nil, proto.CodeQueueError, "full")) // before all of it was read
			time.Sleep(time.Second)
			body, err := io.ReadAll(s.in)
			if i := bytes.IndexByte(body, 0xff); err != nil || i >= 0 {
				t.Errorf("%v; the caller's later bytes were sent, from %d on", err, i)
			}
			for { // until the client closes
				if _, ok := s.next(); !ok {
					return
				}
			}
		})
		payload := make([]byte, 4<<20)
		if _, err := c.Do(
			t.Context(), &client.Task{Function: "f", Payload: payload},
		); !errors.Is(err, client.ErrQueueFull) {
			t.Errorf("%v, want the refusal", err)
		}
		for i := range payload {
			payload[i] = 0xff
		}
		time.Sleep(time.Minute)
	})
}

func TestProduce(t *testing.T) {
	t.Parallel()
	a, b := jobserver.Gearmand(t), jobserver.Gearmand(t)
	c := newClient(t, client.Options{Servers: []string{a.Addr, b.Addr}, MaxPending: 64})
	ctx := within(t)
	const producers, jobs = 4, 1250
	var mu sync.Mutex
	ids := make(map[gearman.JobID]bool)
	var told atomic.Int64
	var wg sync.WaitGroup
	for range producers { // any number of goroutines
		wg.Go(func() {
			task := client.Task{Function: "f", Payload: []byte("x")}
			for i := range jobs {
				c.Produce(ctx, &task, func(id gearman.JobID, err error) {
					told.Add(1)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					ids[id] = true
				})
				if i == 100 { // others use the connection meanwhile
					if _, err := c.Background(ctx, &client.Task{Function: "g"}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if err := c.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if len(ids) != producers*jobs || told.Load() != producers*jobs {
		t.Errorf("%d ids in %d calls, want %d", len(ids), told.Load(), producers*jobs)
	}
	var refused error
	c.Produce(ctx, &client.Task{Function: "a b"}, func(_ gearman.JobID, err error) { refused = err })
	if err := c.Flush(ctx); !errors.Is(refused, proto.ErrName) || !errors.Is(err, proto.ErrName) {
		t.Errorf("a name that can't be: %v, %v", refused, err)
	}
	large := client.Task{Function: "f", Payload: make([]byte, 1<<20)}
	for range 3 {
		c.Produce(ctx, &large, nil)
		clear(large.Payload) // it is the caller's again
	}
	if err := c.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	a.Stop()
	b.Stop()
	for range 100 {
		c.Produce(ctx, &client.Task{Function: "f"}, nil)
	}
	if err := c.Flush(ctx); err == nil {
		t.Error("jobs for stopped servers went well")
	}
	if err := c.Flush(ctx); err != nil {
		t.Errorf("the error was told before: %v", err)
	}
}

func TestDialer(t *testing.T) {
	t.Parallel()
	// A dialer that refuses shows which addresses the client tries, without a job server.
	var mu sync.Mutex
	var asked []string
	refuse := func(_ context.Context, network, address string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, network+" "+address)
		return nil, errors.New("refused")
	}
	c := newClient(t, client.Options{Servers: []string{"127.0.0.1", "[::1]:99"}, Dialer: refuse})
	if _, err := c.Do(within(t), &client.Task{Function: "f"}); !errors.Is(err, client.ErrNoServer) {
		t.Error(err)
	}
	slices.Sort(asked)
	if diff := check.Diff([]string{"tcp 127.0.0.1:4730", "tcp [::1]:99"}, asked); diff != "" {
		t.Error(diff)
	}
}
