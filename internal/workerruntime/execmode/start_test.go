package execmode

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/spool"
	"github.com/gearman-operator/gearman-operator/test/kit"
)

// TestCommandThatVanishes: a job that could not be started has not failed, whatever the crash
// policy is, and Check detects the trouble and its end without a job.
func TestCommandThatVanishes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tool")
	write := func() {
		// The file is renamed into place: a file that is being written can't be started.
		if err := os.WriteFile(path+".new", []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write()
	opts := testOptions(t, io.Discard, path)
	opts.Probe = []string{"/bin/true"}
	h := newHandler(t, opts)
	if err := h.Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	started := false
	o := h.Handle(t.Context(), &job.Job{Reporter: &recorder{}, Started: func() { started = true }})
	if o.Kind != job.Requeued || o.Reason != job.StartFailed || !o.NeverRan || started {
		t.Errorf("outcome %+v, started %v", o, started)
	}
	if err := h.Check(t.Context()); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("check: %v", err)
	}
	write()
	if err := h.Check(t.Context()); err != nil {
		t.Errorf("check after it is back: %v", err)
	}
	if o := h.Handle(
		t.Context(), &job.Job{Reporter: &recorder{}, Started: func() { started = true }},
	); o.Kind != job.Completed || !started {
		t.Errorf("outcome %+v, started %v", o, started)
	}
}

// TestCheckStartsAProgram: Check needs what a job needs. Here the program that should do nothing
// can't be started, or does something.
func TestCheckStartsAProgram(t *testing.T) {
	t.Parallel()
	for name, probe := range map[string][]string{"missing": {"/no/such/program"}, "failing": {"/bin/false"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := testOptions(t, io.Discard, "true")
			opts.Probe = probe
			if err := newHandler(t, opts).Check(t.Context()); err == nil || !strings.Contains(err.Error(), probe[0]) {
				t.Errorf("check: %v", err)
			}
		})
	}
}

// TestStandardInputIsAlwaysAPipe: standard input is a pipe for any size of the workload.
func TestStandardInputIsAlwaysAPipe(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 60_000, 65_536, 70_000, 3 << 20} {
		for _, from := range []string{"memory", "file"} {
			t.Run(fmt.Sprint(size, " bytes from ", from), func(t *testing.T) {
				t.Parallel()
				h := newHandler(
					t, testOptions(t, io.Discard, "sh", "-c", "[ -p /dev/stdin ] || echo no pipe; sleep 0.05; cat"),
				)
				workload := strings.Repeat("0123456789abcdef", size/16+1)[:size]
				j := &job.Job{Body: []byte(workload), Size: int64(size), Reporter: &recorder{}}
				if from == "file" {
					j.Body, j.File = nil, fileOf(t, workload)
				}
				if got := resultOf(t, h.Handle(t.Context(), j)); got != workload {
					t.Errorf("%d bytes %.50q", len(got), got)
				}
			})
		}
	}
}

func fileOf(t *testing.T, content string) *os.File {
	t.Helper()
	f, err := spool.NewFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestWorkloadThatCannotBeRead: a read error in the spool file is not the end of the workload, and
// must not look like it to the command.
func TestWorkloadThatCannotBeRead(t *testing.T) {
	t.Parallel()
	h := newHandler(t, testOptions(t, io.Discard, "sh", "-c", "cat >/dev/null; echo complete"))
	o := h.Handle(
		t.Context(), &job.Job{File: fileOf(t, strings.Repeat("x", 200_000)), Size: 300_000, Reporter: &recorder{}},
	)
	if o.Kind != job.Failed || o.Reason != job.SpoolFailed {
		t.Errorf("outcome %+v", o)
	}
}

func TestPermanentFailures(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		command  []string
		workload string
		argument bool
		message  string // part of it; empty: the job completes
	}{
		"exit code 65": {
			command: []string{"sh", "-c", "exit 65"}, message: "exit code 65: the job is rejected",
		},
		"a NUL in an argument": {
			command: []string{"echo"}, workload: "a\x00b", argument: true, message: "a NUL at byte 1",
		},
		"an option as argument": {
			command: []string{"echo"}, workload: "--output=x", argument: true, message: "begins with -",
		},
		"an option after --":     {command: []string{"echo", "--"}, workload: "--output=x", argument: true},
		"an option without that": {command: []string{"cat"}, workload: "--output=x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := testOptions(t, io.Discard, tc.command...)
			opts.WorkloadAsArgument = tc.argument
			o := newHandler(t, opts).Handle(
				t.Context(), &job.Job{Body: []byte(tc.workload), Size: int64(len(tc.workload)), Reporter: &recorder{}},
			)
			if tc.message == "" {
				if o.Kind != job.Completed {
					t.Errorf("outcome %+v", o)
				}
				return
			}
			if o.Kind != job.Failed || !o.Permanent || !strings.Contains(o.Message, tc.message) {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// TestLongLinesOnDescriptor3: the text of a long data or warning line arrives complete; other long
// lines are logged, not split up.
func TestLongLinesOnDescriptor3(t *testing.T) {
	t.Parallel()
	const size = 200_000
	var log kit.Buffer
	h := newHandler(t, testOptions(t, &log, "sh", "-c", fmt.Sprintf(
		`{ printf 'data '; head -c %[1]d /dev/zero | tr '\0' d; echo; echo status 1/2; printf 'warning '; head -c %[1]d /dev/zero | tr '\0' w; echo
		   head -c %[1]d /dev/zero | tr '\0' o; echo; echo data end; } >&3`, size)))
	var rec recorder
	if o := h.Handle(t.Context(), &job.Job{Reporter: &rec}); o.Kind != job.Completed {
		t.Fatalf("outcome %+v", o)
	}
	var data, warning int
	var others []string
	for _, p := range rec.got {
		switch d, w := strings.TrimPrefix(p, "data d"), strings.TrimPrefix(p, "warning w"); {
		case d != p:
			data += len(d) + 1
		case w != p:
			warning += len(w) + 1
		default:
			others = append(others, p)
		}
	}
	if diff := cmp.Diff([]string{"status 1/2", "data end"}, others); diff != "" || data != size || warning != size {
		t.Errorf(
			"%d bytes of data, %d of the warning, both should be %d; others (-want +got):\n%s", data, warning, size,
			diff,
		)
	}
	if n := strings.Count(log.String(), "is not valid"); n != 1 {
		t.Errorf("%d lines in the log for one line that is not valid", n)
	}
}

// TestEnvironmentOfJobs: jobs don't see the worker's own settings, which include tokens, and a
// job's own variables override inherited ones.
func TestEnvironmentOfJobs(t *testing.T) {
	t.Setenv("GEARMAN_WORKER_HEADER", "Authorization: Bearer secret")
	t.Setenv("GEARMAN_FUNCTION", "inherited")
	t.Setenv("APP_SETTING", "kept")
	h := newHandler(t, testOptions(t, io.Discard, "sh", "-c", "env"))
	got := resultOf(t, h.Handle(t.Context(), &job.Job{Function: "f", Reporter: &recorder{}}))
	for line, want := range map[string]bool{
		"APP_SETTING=kept": true, "GEARMAN_FUNCTION=f": true, "GEARMAN_FUNCTION=inherited": false,
		"GEARMAN_WORKER_HEADER=": false,
	} {
		if strings.Contains(got, line) != want {
			t.Errorf("the environment has %q: %v, want %v", line, !want, want)
		}
	}
}

func TestSignalIsReported(t *testing.T) {
	t.Parallel()
	h := newHandler(t, testOptions(t, io.Discard, "sh", "-c", "kill -TERM $$"))
	if o := h.Handle(t.Context(), &job.Job{Reporter: &recorder{}}); o.Signal != syscall.SIGTERM ||
		o.Reason != job.Crashed {
		t.Errorf("outcome %+v", o)
	}
}

func TestProgramThatIsNotFound(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]bool{
		"no-such-command-at-all": true,
		"exit 126":               true,
		"echo part; exit 127":    false,
		"sleep 1.1; exit 127":    false,
		"exit 1":                 false,
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			o := newHandler(
				t, testOptions(t, io.Discard, "sh", "-c", script),
			).Handle(t.Context(), &job.Job{Reporter: &recorder{}})
			if o.NotFound != want || o.NeverRan {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// TestOutputIsTheCommands: while a command runs, only it has its ends of the pipes. A process that
// another slot starts would get copies of ours.
func TestOutputIsTheCommands(t *testing.T) {
	t.Parallel()
	r, err := newHandler(t, testOptions(t, io.Discard, "/bin/true")).get()
	if err != nil {
		t.Fatal(err)
	}
	defer r.h.put(r)
	started := false
	o := r.handle(t.Context(), &job.Job{Reporter: &recorder{}, Started: func() {
		started = true
		if diff := cmp.Diff([3]int{-1, -1, -1}, r.writers); diff != "" {
			t.Errorf("pipes that can be written to while the command runs (-want +got):\n%s", diff)
		}
	}})
	if o.Kind != job.Completed || !started {
		t.Errorf("outcome %+v, started %v", o, started)
	}
}
