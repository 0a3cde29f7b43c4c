package streammode

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/logs"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/process"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/spool"
	"github.com/gearman-operator/gearman-operator/test/kit"
)

type recorder struct {
	mu      sync.Mutex
	got     []string
	started chan struct{}
}

func (r *recorder) add(format string, args ...any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, fmt.Sprintf(format, args...))
	return nil
}

func (r *recorder) Status(n, d uint64) error {
	if r.started != nil {
		close(r.started)
	}
	return r.add("status %d/%d", n, d)
}
func (r *recorder) Data(p []byte) error    { return r.add("data %s", p) }
func (r *recorder) Warning(p []byte) error { return r.add("warning %s", p) }

func testOptions(t testing.TB, log io.Writer) Options {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Command: []string{exe}, Size: 1,
		Result:    spool.Limits{Dir: t.TempDir(), Above: 1 << 20, Max: 4 << 20},
		KillAfter: 30 * time.Second,
		Log:       slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		LogLimit:  logs.NewLimit(0, 0, time.Now), Table: process.NewTable(),
		Timing: Timing{
			Handshake: 30 * time.Second, Pong: 30 * time.Second, Backoff: time.Millisecond,
			OutputGrace: 50 * time.Millisecond,
		},
	}
}

// startPool runs a pool of processes that behave in the given way until the test ends.
func startPool(t testing.TB, behaviour string, opts Options) *Pool {
	t.Helper()
	p, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	p.env = append(p.env, childEnv+"="+behaviour, "GORACE=atexit_sleep_ms=0")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := opts.Table.Len(); n != 0 {
			t.Errorf("%d processes not reaped", n)
		}
	})
	<-p.Up()
	return p
}

func do(ctx context.Context, p *Pool, workload string, r job.Reporter) job.Outcome {
	return p.Handle(
		ctx,
		&job.Job{
			Function: "f\"ü", Handle: "H:test:1", Unique: "u\x01\xff", Body: []byte(workload),
			Size: int64(len(workload)), Reporter: r,
		},
	)
}

func resultOf(t testing.TB, o job.Outcome) string {
	t.Helper()
	if o.ResultFile == nil {
		return string(o.Result)
	}
	defer o.ResultFile.Close()
	b, err := io.ReadAll(io.NewSectionReader(o.ResultFile, 0, o.ResultSize))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestHandle(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("abcdefgh", 300<<10/8)
	type end struct {
		Kind     job.Kind
		Reason   job.Reason
		Result   string
		Message  string
		Progress []string
	}
	crash := func(message string) end { return end{Kind: job.Failed, Reason: job.Crashed, Message: message} }
	tests := map[string]struct {
		workload string
		change   func(*Options)
		want     end
		wantLog  []string
	}{
		"a job":        {workload: "hello", want: end{Reason: job.OK, Result: "HELLO"}},
		"an empty job": {workload: "", want: end{Reason: job.OK}},
		"a large job":  {workload: big, want: end{Reason: job.OK, Result: strings.ToUpper(big)}},
		"a large result goes to a file": {
			workload: big, change: func(o *Options) { o.Result.Above = 1000 },
			want: end{Reason: job.OK, Result: strings.ToUpper(big)},
		},
		"what a process is told": {
			workload: "meta", want: end{Reason: job.OK, Result: "f\"ü H:test:1 u\x01\uFFFD"},
		},
		"progress": {
			workload: "progress",
			want:     end{Reason: job.OK, Progress: []string{"status 1/2", "data part", "warning careful"}},
		},
		"a failure": {
			workload: "fail no such image", want: end{Kind: job.Failed, Reason: job.Rejected, Message: "no such image"},
		},
		"prints": {workload: "print", want: end{Reason: job.OK}, wantLog: []string{`msg="on stdout" stream=stdout`, `msg="on stderr" stream=stderr`}},
		"a crash": {
			workload: "crash",
			want:     crash("the handler ended before its answer was complete (killed by signal 9 (killed))"),
		},
		"an exit": {
			workload: "exit", want: crash("the handler ended before its answer was complete (exit code 3)"),
		},
		"an exit after the answer": {workload: "complete-and-exit", want: end{Reason: job.OK, Result: "bye"}},
		"garbage":                  {workload: "garbage", want: crash(`*the message doesn't follow the protocol: got "PHP Notice: undefined index\n"`)},
		"endless garbage": {
			workload: "endless", want: crash("*a header line is longer than 65536 bytes"),
		},
		"half a header": {
			workload: "partial-header", want: crash("the handler ended before its answer was complete (exit code 0)"),
		},
		"half a result": {
			workload: "partial-body", want: crash("the handler ended before its answer was complete (exit code 0)"),
		},
		"a result announced too large": {
			workload: "lies",
			want: end{
				Kind: job.Failed, Reason: job.OutputLimit,
				Message: "result is larger than the limit of 4194304 bytes (--max-result)",
			},
		},
		"a negative size":                         {workload: "negative", want: crash("*the message doesn't follow the protocol")},
		"an answer to another job":                {workload: "stale", want: crash(`*"complete" carries id `)},
		"an unknown message":                      {workload: "unknown", want: crash(`*no message is called "finished"`)},
		"a grandchild that holds the descriptors": {workload: "grandchild", want: crash("*killed by signal 9")},
		"a full spool": {
			workload: big, change: func(o *Options) { o.Result.Above = 10; o.Result.Dir = "/proc/self" },
			want: end{Kind: job.Failed, Reason: job.SpoolFailed, Message: "*spool: "},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log kit.Buffer
			opts := testOptions(t, &log)
			if tc.change != nil {
				tc.change(&opts)
			}
			p := startPool(t, "well", opts)
			var rec recorder
			o := do(t.Context(), p, tc.workload, &rec)
			got := end{Kind: o.Kind, Reason: o.Reason, Result: resultOf(t, o), Message: o.Message, Progress: rec.got}
			if part, ok := strings.CutPrefix(tc.want.Message, "*"); ok && strings.Contains(got.Message, part) {
				got.Message = tc.want.Message
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
			for _, want := range tc.wantLog {
				kit.Eventually(
					t, fmt.Sprintf("the log has %q", want), func() bool { return strings.Contains(log.String(), want) },
				)
			}
			// In each case, the next job finds a process.
			if o := do(t.Context(), p, "again", &rec); o.Kind != job.Completed || resultOf(t, o) != "AGAIN" {
				t.Errorf("the next job: %+v", o)
			}
		})
	}
}

func TestSpooledWorkload(t *testing.T) {
	t.Parallel()
	p := startPool(t, "well", testOptions(t, io.Discard))
	f, err := spool.NewFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("from a file"); err != nil {
		t.Fatal(err)
	}
	o := p.Handle(t.Context(), &job.Job{File: f, Size: 11, Reporter: &recorder{}})
	if got := resultOf(t, o); got != "FROM A FILE" {
		t.Errorf("result %q, outcome %+v", got, o)
	}
}

func TestInterrupt(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		cause  error
		kind   job.Kind
		reason job.Reason
	}{
		"timeout": {job.ErrTimeout, job.Failed, job.TimedOut},
		"stop":    {job.ErrStopped, job.Requeued, job.Interrupting},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startPool(t, "well", testOptions(t, io.Discard))
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			rec := &recorder{started: make(chan struct{})}
			go func() {
				<-rec.started
				cancel(tc.cause)
			}()
			if o := do(ctx, p, "hang", rec); o.Kind != tc.kind || o.Reason != tc.reason {
				t.Errorf("outcome %+v", o)
			}
			if o := do(t.Context(), p, "x", &recorder{}); o.Kind != job.Completed {
				t.Errorf("the next job: %+v", o)
			}
		})
	}
}

func TestStartFailures(t *testing.T) {
	t.Parallel()
	for behaviour, want := range map[string]string{
		"dies at start":   "the command does not come up: handshake: EOF (exit code 255)",
		"future":          "the command does not come up: handshake: the process speaks version 9 of the protocol, this worker version 1",
		"prints at start": `the command does not come up: handshake: the message doesn't follow the protocol: got "hello world\n"`,
		"silent":          "the command does not come up: handshake: no answer on descriptor 4 within 500ms",
	} {
		t.Run(behaviour, func(t *testing.T) {
			t.Parallel()
			opts := testOptions(t, io.Discard)
			if behaviour == "silent" {
				opts.Timing.Handshake = 500 * time.Millisecond
			}
			p, err := New(opts)
			if err != nil {
				t.Fatal(err)
			}
			p.env = append(p.env, childEnv+"="+behaviour, "GORACE=atexit_sleep_ms=0")
			err = p.Run(t.Context())
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("error %v, want %s", err, want)
			}
			if ok, _ := p.Ready(); ok {
				t.Error("ready without a process")
			}
		})
	}
}

func pidOf(t *testing.T, p *Pool) string {
	t.Helper()
	o := do(t.Context(), p, "pid", &recorder{})
	if o.Kind != job.Completed {
		t.Fatalf("outcome %+v", o)
	}
	return string(o.Result)
}

func TestMaxJobs(t *testing.T) {
	t.Parallel()
	opts := testOptions(t, io.Discard)
	opts.MaxJobs = 3
	p := startPool(t, "well", opts)
	var got []int
	last, run := "", 0
	for range 9 {
		pid := pidOf(t, p)
		if pid != last && last != "" {
			got = append(got, run)
			run = 0
		}
		last = pid
		run++
	}
	if diff := cmp.Diff([]int{3, 3}, got); diff != "" {
		t.Errorf("jobs of each process (-want +got):\n%s", diff)
	}
}

// TestLimitsAreSplayed: the limits of processes that start together differ, by up to a tenth below
// the configured value.
func TestLimitsAreSplayed(t *testing.T) {
	t.Parallel()
	opts := testOptions(t, io.Discard)
	opts.MaxJobs, opts.MaxLifetime = 1000, 10*time.Hour
	p, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	defer p.null.Close()
	begin := time.Now()
	type limits struct {
		Jobs     int
		Lifetime time.Duration
	}
	var got []limits
	for _, random := range []float64{0, 0.25, 0.999999} {
		p.random = func() float64 { return random }
		c := &child{pool: p}
		c.draw(begin)
		got = append(got, limits{c.maxJobs, c.expires.Sub(begin).Round(time.Minute)})
	}
	if diff := cmp.Diff(
		[]limits{{1000, 10 * time.Hour}, {975, 9*time.Hour + 45*time.Minute}, {901, 9 * time.Hour}}, got,
	); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
}

// eventuallyNewPid waits until jobs go to another process. It tries less and less often, since only
// a process without a job for a while is pinged.
func eventuallyNewPid(t *testing.T, p *Pool, old string) {
	t.Helper()
	for wait := 5 * time.Millisecond; pidOf(t, p) == old; wait *= 2 {
		if wait > 30*time.Second {
			t.Fatal("the process was not replaced")
		}
		time.Sleep(wait)
	}
}

func TestReplacement(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "code.php")
	if err := os.WriteFile(file, []byte("1"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		behaviour string
		change    func(*Options)
		act       func(*Pool)
	}{
		"reload":       {"well", func(*Options) {}, func(p *Pool) { p.Reload() }},
		"max-lifetime": {"well", func(o *Options) { o.MaxLifetime = 200 * time.Millisecond }, func(*Pool) {}},
		"a changed file": {
			"well",
			func(o *Options) { o.Watch = []string{filepath.Dir(file)}; o.Timing.WatchEvery = 10 * time.Millisecond },
			func(*Pool) {
				if err := os.WriteFile(file, []byte("22"), 0o644); err != nil {
					panic(err)
				}
			},
		},
		"no answer to a ping": {
			"deaf", func(o *Options) { o.PingEvery = 20 * time.Millisecond; o.Timing.Pong = 100 * time.Millisecond },
			func(*Pool) {},
		},
		"no regard to the end of descriptor 3": {
			"ignores the end", func(o *Options) { o.KillAfter = 50 * time.Millisecond }, func(p *Pool) { p.Reload() },
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := testOptions(t, io.Discard)
			tc.change(&opts)
			p := startPool(t, tc.behaviour, opts)
			old := pidOf(t, p)
			tc.act(p)
			eventuallyNewPid(t, p, old)
		})
	}
}

func TestPingKeepsAHealthyProcess(t *testing.T) {
	t.Parallel()
	opts := testOptions(t, io.Discard)
	opts.PingEvery = 5 * time.Millisecond
	p := startPool(t, "well", opts)
	old := pidOf(t, p)
	time.Sleep(100 * time.Millisecond)
	if got := pidOf(t, p); got != old {
		t.Errorf("process %s instead of %s", got, old)
	}
}

func TestManyJobsOverManyProcesses(t *testing.T) {
	t.Parallel()
	opts := testOptions(t, io.Discard)
	opts.Size, opts.MaxJobs = 4, 25
	p := startPool(t, "well", opts)
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 50 {
				w := fmt.Sprintf("job %d of %d", i, n)
				if o := do(t.Context(), p, w, &recorder{}); string(o.Result) != strings.ToUpper(w) {
					t.Errorf("%q gives %+v", w, o)
				}
			}
		})
	}
	wg.Wait()
}

func TestNoProcessInTime(t *testing.T) {
	t.Parallel()
	opts := testOptions(t, io.Discard)
	opts.Timing.Take = 50 * time.Millisecond
	p := startPool(t, "well", opts)
	started := &recorder{started: make(chan struct{})}
	ctx, cancel := context.WithCancelCause(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { do(ctx, p, "hang", started) })
	<-started.started
	if o := do(t.Context(), p, "x", &recorder{}); o.Kind != job.Requeued || o.Reason != job.StartFailed || !o.NeverRan {
		t.Errorf("outcome %+v", o)
	}
	waiting, stop := context.WithCancelCause(t.Context())
	stop(job.ErrStopped)
	if o := do(waiting, p, "x", &recorder{}); o.Kind != job.Requeued {
		t.Errorf("outcome %+v", o)
	}
	cancel(job.ErrStopped)
	wg.Wait()
}

func TestNew(t *testing.T) {
	t.Parallel()
	for name, command := range map[string][]string{"no command": nil, "a missing command": {"no-such-command-at-all"}} {
		opts := testOptions(t, io.Discard)
		opts.Command = command
		if _, err := New(opts); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func BenchmarkEcho(b *testing.B) {
	opts := testOptions(b, io.Discard)
	p := startPool(b, "well", opts)
	body := make([]byte, 100)
	r := &recorder{}
	for b.Loop() {
		if o := p.Handle(
			b.Context(), &job.Job{Function: "f", Handle: "H:x:1", Body: body, Size: 100, Reporter: r},
		); o.Kind != job.Completed {
			b.Fatalf("outcome %+v", o)
		}
	}
}
