package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/internal/check"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

func TestMain(m *testing.M) { check.Main(m) }

// rawClient submits jobs as raw packets.
type rawClient struct {
	t *testing.T
	c *proto.Conn
}

func newClient(t *testing.T, addr string) *rawClient {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return &rawClient{t: t, c: proto.NewConn(nc, proto.Limits{})}
}

func (r *rawClient) write(b []byte) {
	r.t.Helper()
	if _, err := r.c.Write(b); err != nil {
		r.t.Fatal(err)
	}
}

// next reads a packet and returns it as text: its type and arguments.
func (r *rawClient) next() string {
	r.t.Helper()
	if err := r.c.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		r.t.Fatal(err)
	}
	p, err := r.c.Next()
	if err != nil {
		r.t.Fatal(err)
	}
	args, err := p.Args(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	var out strings.Builder
	out.WriteString(p.Type.String())
	for _, a := range args {
		out.WriteString("|" + string(a))
	}
	return out.String()
}

func (r *rawClient) submit(typ proto.Type, function, unique, data string) (handle string) {
	r.t.Helper()
	r.write(proto.AppendSubmit(nil, typ, function, unique, data))
	answer := r.next()
	handle, ok := strings.CutPrefix(answer, "JOB_CREATED|")
	if !ok {
		r.t.Fatalf("submission answered with %s", answer)
	}
	return handle
}

// running is a worker that runs until the test ends or stop is called.
type running struct {
	*Worker
	once sync.Once
	done chan error
	err  error
}

func start(t *testing.T, o Options, handlers map[string]Handler, opts ...Function) *running {
	t.Helper()
	w, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range handlers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := w.Handle(with(name, handlers[name], opts)); err != nil {
			t.Fatal(err)
		}
	}
	r := &running{Worker: w, done: make(chan error, 1)}
	go func() { r.done <- w.Run(context.WithoutCancel(t.Context())) }() // wait joins it
	t.Cleanup(func() { w.beginStopAndCancel(); _ = r.wait() })
	return r
}

func (r *running) wait() error {
	r.once.Do(func() { r.err = <-r.done })
	return r.err
}

func ready(t *testing.T, w *running) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := w.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
}

func status(t *testing.T, addr, function string) admin.FunctionStatus {
	t.Helper()
	c, err := admin.Dial(t.Context(), addr, admin.Options{Timeout: 60 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	rows, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if row.Function == function {
			return row
		}
	}
	return admin.FunctionStatus{Function: function}
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func reverse(_ context.Context, j *Job) ([]byte, error) {
	out := bytes.Clone(j.Payload())
	slices.Reverse(out)
	return out, nil
}

type starter struct {
	start func(testing.TB, ...string) *jobserver.Server
}

var servers = map[string]starter{"gearmand": {jobserver.Gearmand}, "perl": {jobserver.Perl}}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	handlers := map[string]Handler{
		"reverse": reverse,
		"fail":    func(context.Context, *Job) ([]byte, error) { return nil, errors.New("no") },
		"panic":   func(context.Context, *Job) ([]byte, error) { panic("oops") },
		"except": func(context.Context, *Job) ([]byte, error) {
			return nil, fmt.Errorf("x: %w", &gearman.JobError{Exception: []byte("boom")})
		},
		"reader": func(_ context.Context, j *Job) ([]byte, error) {
			return nil, j.ResultFrom(strings.NewReader("from a reader"), 13)
		},
		"status": func(_ context.Context, j *Job) ([]byte, error) { return []byte("r"), j.Status(1, 2) },
		"stream": func(_ context.Context, j *Job) ([]byte, error) {
			return []byte("end"), errors.Join(
				j.Data([]byte("part")), j.Warning([]byte("careful")), j.DataFrom(strings.NewReader("more"), 4),
			)
		},
	}
	tests := map[string]struct {
		function, data string
		exceptions     bool
		noPerl         bool
		want           []string
	}{
		"complete": {function: "reverse", data: "abc", want: []string{"WORK_COMPLETE|H|cba"}},
		"empty":    {function: "reverse", data: "", want: []string{"WORK_COMPLETE|H|"}},
		"nul":      {function: "reverse", data: "a\x00b", want: []string{"WORK_COMPLETE|H|b\x00a"}},
		"large": {
			function: "reverse", data: strings.Repeat("ab", 500_000),
			want: []string{"WORK_COMPLETE|H|" + strings.Repeat("ba", 500_000)},
		},
		"fail":                 {function: "fail", want: []string{"WORK_FAIL|H"}},
		"panic":                {function: "panic", want: []string{"WORK_FAIL|H"}},
		"exception, not asked": {function: "except", want: []string{"WORK_FAIL|H"}},
		"exception, asked": {
			function: "except", exceptions: true, noPerl: true, want: []string{"WORK_EXCEPTION|H|boom"},
		},
		"exception, asked, perl": {function: "except", exceptions: true, want: []string{"WORK_EXCEPTION|H|boom"}},
		"reader":                 {function: "reader", want: []string{"WORK_COMPLETE|H|from a reader"}},
		"status":                 {function: "status", want: []string{"WORK_STATUS|H|1|2", "WORK_COMPLETE|H|r"}},
		"stream": {function: "stream", noPerl: true, want: []string{
			"WORK_DATA|H|part", "WORK_WARNING|H|careful", "WORK_DATA|H|more", "WORK_COMPLETE|H|end",
		}},
	}
	for name, srv := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := srv.start(t).Addr
			w := start(t, Options{Servers: []string{addr}, Concurrency: 2}, handlers)
			ready(t, w)
			for name, tt := range tests {
				t.Run(name, func(t *testing.T) {
					if tt.noPerl && strings.Contains(t.Name(), "perl/") {
						t.Skip("not supported by Perl's server")
					}
					c := newClient(t, addr)
					if tt.exceptions {
						c.write(proto.AppendOption(nil, proto.Request, "exceptions"))
						if got := c.next(); got != "OPTION_RES|exceptions" {
							t.Fatal(got)
						}
					}
					h := c.submit(proto.TypeSubmitJob, tt.function, "", tt.data)
					for _, want := range tt.want {
						got := strings.TrimSuffix(strings.Replace(c.next(), h, "H", 1), "\x00")
						if got != want {
							t.Errorf("got %.100q, want %.100q", got, want)
						}
					}
				})
			}
			w.beginStop()
			if err := w.wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRequeue(t *testing.T) {
	t.Parallel()
	addr := jobserver.Gearmand(t).Addr
	var mu sync.Mutex
	var outcomes []string
	tries := 0
	w := start(t, Options{
		Servers: []string{addr}, Concurrency: 2, ReconnectMin: time.Millisecond,
		Hooks: Hooks{JobDone: func(_ *Job, d Done) {
			mu.Lock()
			defer mu.Unlock()
			outcomes = append(outcomes, d.Outcome.String())
		}},
	}, map[string]Handler{"f": func(_ context.Context, j *Job) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		if tries++; tries <= 2 {
			return nil, fmt.Errorf("try %d: %w", tries, ErrRequeue)
		}
		return j.Payload(), nil
	}})
	c := newClient(t, addr)
	h := c.submit(proto.TypeSubmitJob, "f", "", "x")
	if got := c.next(); got != "WORK_COMPLETE|"+h+"|x" {
		t.Error(got)
	}
	w.beginStop()
	if err := w.wait(); err != nil {
		t.Error(err)
	}
	slices.Sort(outcomes) // the other slot may finish the job before this one has reported it
	if want := []string{"complete", "requeued", "requeued"}; !slices.Equal(outcomes, want) {
		t.Errorf("outcomes %v, want %v", outcomes, want)
	}
}

func TestTimeoutFailsJobInThePlaceOfAStuckHandler(t *testing.T) {
	t.Parallel()
	addr := jobserver.Gearmand(t).Addr
	release := make(chan struct{})
	results := make(chan Done, 2)
	w := start(t, Options{
		Servers: []string{addr}, Hooks: Hooks{JobDone: func(_ *Job, d Done) { results <- d }},
	}, map[string]Handler{
		"stuck": func(ctx context.Context, j *Job) ([]byte, error) {
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), ErrTimeout) {
				t.Errorf("cause %v", context.Cause(ctx))
			}
			<-release
			if err := j.Data([]byte("late")); !errors.Is(err, ErrJobDone) {
				t.Errorf("Data of a job that was failed: %v", err)
			}
			return []byte("late"), nil
		},
		"ends": func(ctx context.Context, _ *Job) ([]byte, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		},
	}, Function{Timeout: 20 * time.Millisecond, Grace: 30 * time.Millisecond})
	c := newClient(t, addr)
	for _, f := range []string{"ends", "stuck"} {
		h := c.submit(proto.TypeSubmitJob, f, "", "x")
		if got := c.next(); got != "WORK_FAIL|"+h {
			t.Errorf("%s: %s", f, got)
		}
	}
	close(release)
	w.beginStop()
	if err := w.wait(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if d := <-results; !d.Timeout || d.Outcome != Fail || !errors.Is(d.Err, ErrTimeout) {
			t.Errorf("%+v", d)
		}
	}
}

func TestSpooledPayload(t *testing.T) {
	t.Parallel()
	addr := jobserver.Gearmand(t).Addr
	big, small := strings.Repeat("0123456789", 200_000), "small"
	w := start(t, Options{Servers: []string{addr}, SpoolAbove: 1000, SpoolDir: t.TempDir()}, map[string]Handler{
		"f": func(_ context.Context, j *Job) ([]byte, error) {
			if spooled := j.Spool() != nil; spooled != (j.Size() > 1000) {
				return nil, fmt.Errorf("spooled: %v, size %d", spooled, j.Size())
			}
			if j.Spool() == nil {
				return j.Payload(), nil
			}
			return nil, j.ResultFrom(j.Spool(), j.Size())
		},
		"read": func(_ context.Context, j *Job) ([]byte, error) { return io.ReadAll(j.Reader()) },
	})
	c := newClient(t, addr)
	for _, f := range []string{"f", "read"} {
		for _, payload := range []string{small, big} {
			h := c.submit(proto.TypeSubmitJob, f, "u", payload)
			if got := c.next(); got != "WORK_COMPLETE|"+h+"|"+payload {
				t.Errorf("%s: got %.60q... (%d bytes) of %d", f, got, len(got), len(payload))
			}
		}
	}
	w.beginStop()
	if err := w.wait(); err != nil {
		t.Error(err)
	}
}

// TestPayloadThatCannotBeSpooled checks that a payload that can't be spooled ends its own job, with
// the outcome that the function decides, and doesn't end the connection.
func TestPayloadThatCannotBeSpooled(t *testing.T) {
	t.Parallel()
	addr := jobserver.Gearmand(t).Addr
	var downs atomic.Int32
	options := Options{
		Servers: []string{addr}, SpoolAbove: 1000, SpoolDir: filepath.Join(t.TempDir(), "missing"),
		Hooks: Hooks{ConnDown: func(Conn, error) { downs.Add(1) }},
	}
	handler := func(_ context.Context, j *Job) ([]byte, error) { return j.Payload(), nil }
	decide := func(_ context.Context, j *Job, err error) error {
		if j.Spool() != nil || j.Payload() != nil {
			t.Errorf("%d bytes are kept, and spool %v", len(j.Payload()), j.Spool())
		}
		if errors.Is(err, os.ErrNotExist) {
			return &gearman.JobError{Exception: []byte("decided")}
		}
		return err
	}
	plain := start(t, options, map[string]Handler{"plain": handler})
	decided := start(t, options, map[string]Handler{"decided": handler}, Function{OnSpoolError: decide})
	c := newClient(t, addr)
	c.write(proto.AppendOption(nil, proto.Request, "exceptions"))
	if got := c.next(); got != "OPTION_RES|exceptions" {
		t.Fatal(got)
	}
	big := strings.Repeat("x", 3_000_000)
	for _, tc := range []struct{ function, payload, want string }{
		{"plain", big, "WORK_FAIL|%s"},
		{"decided", big, "WORK_EXCEPTION|%s|decided"},
		{"plain", "small", "WORK_COMPLETE|%s|small"},
	} {
		h := c.submit(proto.TypeSubmitJob, tc.function, "u", tc.payload)
		if got := c.next(); !strings.HasPrefix(got, fmt.Sprintf(tc.want, h)) {
			t.Errorf("%s of %d bytes: got %.100q", tc.function, len(tc.payload), got)
		}
	}
	if n := downs.Load(); n > 0 {
		t.Errorf("%d connections were lost", n)
	}
	for _, w := range []*running{plain, decided} {
		w.beginStop()
		if err := w.wait(); err != nil {
			t.Error(err)
		}
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"no servers":  {},
		"bad address": {Servers: []string{"host:port"}},
		"concurrency": {Servers: []string{"h"}, Concurrency: -1},
	} {
		if _, err := New(o); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w, err := New(Options{Servers: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Run(t.Context()); !errors.Is(err, ErrNoHandlers) {
		t.Error(err)
	}
	if err := w.Handle(Function{Name: "a b", Handler: reverse}); !errors.Is(err, proto.ErrName) {
		t.Error(err)
	}
	if err := w.Handle(Function{Name: "f"}); err == nil {
		t.Error("a nil handler was taken")
	}
	if err := w.Handle(Function{Name: "f", Handler: reverse}); err != nil {
		t.Error(err)
	}
	if err := w.Handle(Function{Name: "f", Handler: reverse}); err == nil {
		t.Error("a function was registered twice")
	}
	w.beginStop()
	if err := w.Run(t.Context()); err != nil {
		t.Error(err)
	}
	if err := w.Run(t.Context()); !errors.Is(err, ErrStarted) {
		t.Error(err)
	}
	if err := w.Handle(Function{Name: "g", Handler: reverse}); !errors.Is(err, ErrStarted) {
		t.Error(err)
	}
	if err := w.RenewClientID(0); !errors.Is(err, ErrOptions) {
		t.Error(err)
	}
}
