package execmode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/logs"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/process"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/spool"
	"github.com/gearman-operator/gearman-operator/test/kit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder records the progress of a job, one string for each report.
type recorder struct {
	mu  sync.Mutex
	got []string
}

func (r *recorder) add(format string, args ...any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, fmt.Sprintf(format, args...))
	return nil
}
func (r *recorder) Status(n, d uint64) error { return r.add("status %d/%d", n, d) }
func (r *recorder) Data(p []byte) error      { return r.add("data %s", p) }
func (r *recorder) Warning(p []byte) error   { return r.add("warning %s", p) }

func testOptions(t *testing.T, log io.Writer, command ...string) Options {
	t.Helper()
	return Options{
		Command: command,
		Result:  spool.Limits{Dir: t.TempDir(), Above: 1 << 20, Max: 4 << 20},
		// These are long enough that a busy machine doesn't reach them unless a test means to.
		KillAfter: time.Minute, OutputGrace: time.Minute,
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{ReplaceAttr: func(
			_ []string, a slog.Attr,
		) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})),
		LogLimit: logs.NewLimit(0, 0, time.Now),
		Table:    process.NewTable(),
	}
}

func newHandler(t *testing.T, opts Options) *Handler {
	t.Helper()
	h, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if n := opts.Table.Len(); n != 0 {
			t.Errorf("%d processes not reaped", n)
		}
		h.Close()
	})
	return h
}

func resultOf(t *testing.T, o job.Outcome) string {
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
	big := strings.Repeat("0123456789abcdef", 200<<10/16)
	type end struct {
		Kind     job.Kind
		Reason   job.Reason
		Result   string
		Message  string
		Detail   string
		Progress []string
	}
	tests := map[string]struct {
		script   string
		workload string
		change   func(*Options)
		want     end
		wantLog  string
	}{
		"the workload is standard input, the result standard output": {
			script: "tr a-z A-Z", workload: "hello\x00world", want: end{Reason: job.OK, Result: "HELLO\x00WORLD"},
		},
		"an empty workload":             {script: "cat; echo done", want: end{Reason: job.OK, Result: "done\n"}},
		"a workload larger than a pipe": {script: "cat", workload: big, want: end{Reason: job.OK, Result: big}},
		"a workload that nobody reads": {
			script: "exec <&-; echo ok", workload: big, want: end{Reason: job.OK, Result: "ok\n"},
		},
		"a small one that nobody reads": {script: "true", workload: "x", want: end{Reason: job.OK}},
		"the workload as an argument":   {script: `echo "<$1>"`, workload: "a b", change: func(o *Options) { o.WorkloadAsArgument = true; o.Command = append(o.Command, "sh") }, want: end{Reason: job.OK, Result: "<a b>\n"}},
		"a workload too long for an argument": {
			script: "true", workload: big, change: func(o *Options) { o.WorkloadAsArgument = true },
			want: end{
				Kind: job.Failed, Reason: job.Rejected,
				Message: "workload of 204800 bytes is too long for an argument (at most 131071); leave out --workload-as-argument",
			},
		},
		"the environment says which job it is": {
			script: `echo $GEARMAN_FUNCTION $GEARMAN_HANDLE $GEARMAN_UNIQUE $GEARMAN_WORKLOAD_BYTES`, workload: "abc",
			want: end{Reason: job.OK, Result: "f H:test:1 u 3\n"},
		},
		"an exit code fails the job, with the end of standard error": {
			script: "echo out; echo one >&2; echo two >&2; exit 3",
			want: end{
				Kind: job.Failed, Reason: job.ExitCode, Message: "command ended with exit code 3", Detail: "one\ntwo\n",
			},
			wantLog: "level=INFO msg=one stream=stderr function=f handle=H:test:1\n" +
				"level=INFO msg=two stream=stderr function=f handle=H:test:1\n",
		},
		"a command that the shell doesn't find": {
			script: "exec 2>/dev/null; no-such-command-at-all",
			want: end{
				Kind: job.Failed, Reason: job.ExitCode,
				Message: "command ended with exit code 127: it did not find its program",
			},
		},
		"a signal is a crash": {
			script: "kill -SEGV $$",
			want: end{
				Kind: job.Failed, Reason: job.Crashed, Message: "command was killed by signal 11 (segmentation fault)",
			},
		},
		"progress on descriptor 3": {
			script: `echo status 1/2 >&3; echo data part one >&3; echo warning careful >&3; printf 'status 2 2' >&3; echo end`,
			want: end{
				Reason: job.OK, Result: "end\n",
				Progress: []string{"status 1/2", "data part one", "warning careful", "status 2/2"},
			},
		},
		"other lines on descriptor 3 are logged": {
			script:  `echo hello >&3; echo status x/y >&3`,
			want:    end{Reason: job.OK},
			wantLog: `level=WARN msg="Line on descriptor 3 is not valid; write status N/D, data TEXT or warning TEXT" line=hello function=f handle=H:test:1` + "\n" + `level=WARN msg="Line on descriptor 3 is not valid; write status N/D, data TEXT or warning TEXT" line="status x/y" function=f handle=H:test:1` + "\n",
		},
		"streamed output": {
			script: `printf a; sleep 0.05; printf b`, change: func(o *Options) { o.StreamOutput = true },
			want: end{Reason: job.OK, Progress: []string{"data a", "data b"}},
		},
		"a result larger than memory goes to a file": {
			script: "cat", workload: big, change: func(o *Options) { o.Result.Above = 1000 },
			want: end{Reason: job.OK, Result: big},
		},
		"a result larger than the limit": {
			script: "yes", change: func(o *Options) { o.Result.Max = 100000 },
			want: end{
				Kind: job.Failed, Reason: job.OutputLimit,
				Message: "result is larger than the limit of 100000 bytes (--max-result)",
			},
		},
		"a full spool": {
			script: "cat", workload: big,
			change: func(o *Options) { o.Result.Above = 1000; o.Result.Dir = "/proc/self" },
			want:   end{Kind: job.Failed, Reason: job.SpoolFailed, Message: "*"},
		},
		"closing standard output early": {script: "exec >&- 2>&- 3>&-; sleep 0.05", want: end{Reason: job.OK}},
		"a grandchild that holds the pipes": {
			script: "sleep 1000 & echo result", change: func(o *Options) { o.OutputGrace = 50 * time.Millisecond },
			want: end{Reason: job.OK, Result: "result\n"},
		},
		"a late writer of its group is waited for": {
			script: "(sleep 0.1; echo late) & echo early", want: end{Reason: job.OK, Result: "early\nlate\n"},
		},
	}
	for name, tc := range tests {
		for _, way := range []string{"pidfd", "no pidfd"} {
			t.Run(name+" "+way, func(t *testing.T) {
				t.Parallel()
				var log kit.Buffer
				opts := testOptions(t, &log, "/bin/sh", "-c", tc.script)
				if way != "pidfd" {
					opts.Table = process.NewTableWithoutPidfd()
				}
				if tc.change != nil {
					tc.change(&opts)
				}
				h := newHandler(t, opts)
				var rec recorder
				o := h.Handle(
					t.Context(),
					&job.Job{
						Function: "f", Handle: "H:test:1", Unique: "u", Body: []byte(tc.workload),
						Size: int64(len(tc.workload)), Reporter: &rec,
					},
				)
				got := end{
					Kind: o.Kind, Reason: o.Reason, Result: resultOf(t, o), Message: o.Message,
					Detail: string(o.Detail), Progress: rec.got,
				}
				if tc.want.Message == "*" && got.Message != "" {
					got.Message = "*"
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("outcome (-want +got):\n%s", diff)
				}
				if tc.wantLog != "" {
					if diff := cmp.Diff(tc.wantLog, log.String()); diff != "" {
						t.Errorf("log (-want +got):\n%s", diff)
					}
				}
			})
		}
	}
}

func TestSpooledWorkloadIsStandardInput(t *testing.T) {
	t.Parallel()
	f, err := spool.NewFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("from a file"); err != nil {
		t.Fatal(err)
	}
	h := newHandler(t, testOptions(t, io.Discard, "cat"))
	o := h.Handle(t.Context(), &job.Job{File: f, Size: 11, Reporter: &recorder{}})
	if got := resultOf(t, o); got != "from a file" {
		t.Errorf("result %q, outcome %+v", got, o)
	}
}

func TestInterrupt(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		script string
		cause  error
		want   job.Kind
		reason job.Reason
	}{
		"a timeout fails the job": {
			"echo status 0/1 >&3; exec sleep 1000", job.ErrTimeout, job.Failed, job.TimedOut,
		},
		"a stop hands it back": {
			"echo status 0/1 >&3; exec sleep 1000", job.ErrStopped, job.Requeued, job.Interrupting,
		},
		"a command that ignores SIGTERM is killed": {
			"trap '' TERM; echo status 0/1 >&3; while :; do sleep 0.05; done", job.ErrTimeout, job.Failed, job.TimedOut,
		},
		"its children, too": {
			"trap '' TERM; (trap '' TERM; sleep 1000) & echo status 0/1 >&3; wait", job.ErrTimeout, job.Failed,
			job.TimedOut,
		},
		"a late success of a timed-out job is none": {
			"trap 'exit 0' TERM; echo status 0/1 >&3; while :; do sleep 0.05; done", job.ErrTimeout, job.Failed,
			job.TimedOut,
		},
		"a stopped (SIGSTOP) command sees SIGTERM, too": {
			"echo status 0/1 >&3; kill -STOP $$; sleep 1000", job.ErrTimeout, job.Failed, job.TimedOut,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := testOptions(t, io.Discard, "/bin/sh", "-c", tc.script)
			opts.KillAfter = 100 * time.Millisecond
			h := newHandler(t, opts)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			started := make(starts, 1)
			got := make(chan job.Outcome, 1)
			go func() { got <- h.Handle(ctx, &job.Job{Function: "f", Reporter: started}) }()
			<-started
			cancel(tc.cause)
			o := <-got
			if o.Kind != tc.want || o.Reason != tc.reason {
				t.Errorf("outcome %+v, want kind %v and reason %v", o, tc.want, tc.reason)
			}
		})
	}
}

// starts receives a value for each status that a command reports.
type starts chan struct{}

func (s starts) Status(_, _ uint64) error { s <- struct{}{}; return nil }
func (s starts) Data([]byte) error        { return nil }
func (s starts) Warning([]byte) error     { return nil }

func TestNothingOfAGroupSurvives(t *testing.T) {
	t.Parallel()
	pidFile := filepath.Join(t.TempDir(), "pid")
	opts := testOptions(t, io.Discard, "/bin/sh", "-c", "sleep 1000 >/dev/null 2>&1 3>&1 & echo $! >"+pidFile)
	h := newHandler(t, opts)
	if o := h.Handle(t.Context(), &job.Job{Reporter: &recorder{}}); o.Kind != job.Completed {
		t.Fatalf("outcome %+v", o)
	}
	var pid int
	b, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(b), &pid); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for !gone(pid) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d of the job's group still runs", pid)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// gone reports whether a process has ended. It may stay a zombie of the process that adopts orphans
// here.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return true
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "Z")
}

// TestInterruptReachesOtherGroups: processes that an interrupted job has started in other process
// groups and sessions end with it, before its outcome is reported.
func TestInterruptReachesOtherGroups(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]string{"timeout": "timeout 600 sleep 1000", "setsid": "setsid sleep 1000"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			opts := testOptions(
				t, io.Discard, "/bin/sh", "-c", "cd "+dir+"; "+start+" & echo $! >pid; mv pid started; wait",
			)
			opts.OutputGrace = 50 * time.Millisecond // they hold the pipes
			h := newHandler(t, opts)
			ctx, cancel := context.WithCancelCause(t.Context())
			done := make(chan job.Outcome, 1)
			go func() { done <- h.Handle(ctx, &job.Job{Reporter: &recorder{}}) }()
			var pid int
			for pid == 0 {
				b, _ := os.ReadFile(filepath.Join(dir, "started"))
				_, _ = fmt.Sscan(string(b), &pid)
				time.Sleep(time.Millisecond)
			}
			// The process leaves the job's group a moment after its start.
			for leftAt := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
				if pgid, err := syscall.Getpgid(pid); err == nil && pgid == pid {
					break
				}
				if time.Now().After(leftAt) {
					t.Fatal("it does not leave the group")
				}
			}
			cancel(job.ErrTimeout)
			if o := <-done; o.Reason != job.TimedOut {
				t.Errorf("outcome %+v", o)
			}
			if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil &&
				!strings.Contains(string(b), ") Z ") {
				t.Errorf("it runs on: %s", b)
			}
		})
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "plain"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, command := range map[string][]string{
		"no command":     nil,
		"not in PATH":    {"no-such-command-at-all"},
		"no such file":   {"/no/such/file"},
		"not executable": {filepath.Join(dir, "plain")},
		"a directory":    {dir},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := New(testOptions(t, io.Discard, command...)); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func BenchmarkTrue(b *testing.B) {
	h, err := New(Options{
		Command: []string{"/bin/true"}, Result: spool.Limits{Dir: b.TempDir(), Above: 1 << 20, Max: 1 << 20},
		KillAfter: time.Minute, OutputGrace: time.Minute,
		Log: slog.New(slog.DiscardHandler), LogLimit: logs.NewLimit(0, 0, time.Now), Table: process.NewTable(),
	})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	body := make([]byte, 100)
	for b.Loop() {
		if o := h.Handle(b.Context(), &job.Job{Body: body, Size: 100, Reporter: &recorder{}}); o.Kind != job.Completed {
			b.Fatalf("outcome %+v", o)
		}
	}
}
