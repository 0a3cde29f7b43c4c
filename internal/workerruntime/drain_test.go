package workerruntime_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/internal/telemetry"
	"github.com/gearman-operator/gearman-operator/test/kit"
)

// slowJob records its run, waits until the file named in its workload exists, and answers.
const slowJob = `f=$(cat); echo run >>"$RUNS"; while [ ! -e "$f" ]; do sleep 0.02; done; printf done`

// slowStream is the same as a process that keeps running.
const slowStream = `read h <&3; echo '{"type":"ready","version":1}' >&4
	while read j <&3; do
		n=$(echo "$j" | sed 's/.*"bytes":\([0-9]*\).*/\1/') id=$(echo "$j" | sed 's/.*"id":\([0-9]*\).*/\1/')
		f=$(head -c "$n" <&3); echo run >>"$RUNS"; while [ ! -e "$f" ]; do sleep 0.02; done
		printf '{"type":"complete","id":%s,"bytes":4}\ndone' "$id" >&4
	done`

func TestDrainFinishesTheRunningJob(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"exec", "stream", "http"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			server := jobserver.Gearmand(t)
			r := newRuns(t)
			var command []string
			switch mode {
			case "exec":
				command = []string{"sh", "-c", slowJob}
			case "stream":
				command = []string{"sh", "-c", slowStream}
			case "http":
				service := httptest.NewServer(
					http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.serve(t, w, req) }),
				)
				defer service.Close()
				command = []string{service.URL}
			}
			args := append(
				[]string{mode, "--server", server.Addr, "--function", "slow", "--concurrency", "2", "--"}, command...,
			)
			w := startWorker(t, []string{"RUNS=" + r.path}, args...).waitReady()
			s := newSubmitter(t, server.Addr)
			gate := t.TempDir() + "/gate"
			s.send(submitJob, "slow", "", gate)
			w.waitBusy(1)

			w.signal(syscall.SIGTERM)
			kit.Eventually(t, "not ready while draining", func() bool { code, _ := w.get("/readyz"); return code == 503 })
			if code, _ := w.get("/healthz"); code != 200 {
				t.Errorf("healthz is %d while draining", code)
			}
			kit.Eventually(
				t, "the idle slot takes no more jobs",
				func() bool { return registrations(t, server.Addr, "slow") == 1 },
			)
			newSubmitter(t, server.Addr).background("slow", gate) // must not be taken any more
			touch(t, gate)
			a, err := s.wait()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(answer{End: complete, Result: "done"}, a); diff != "" {
				t.Errorf("the client's answer (-want +got):\n%s", diff)
			}
			if code := w.exit(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if diff := cmp.Diff([]string{"run"}, r.list()); diff != "" {
				t.Errorf("runs (-want +got):\n%s", diff)
			}
			if total, running := queued(t, server.Addr, "slow"); total != 1 || running != 0 {
				t.Errorf("the job server has %d jobs, %d running; want the second one, queued", total, running)
			}
		})
	}
}

// serve is slowJob as an HTTP service.
func (r runs) serve(t *testing.T, w http.ResponseWriter, req *http.Request) {
	gate, err := io.ReadAll(req.Body)
	if err != nil {
		t.Error(err)
	}
	f, err := os.OpenFile(r.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Error(err)
		return
	}
	fmt.Fprintln(f, "run")
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	for req.Context().Err() == nil {
		if _, err := os.Stat(string(gate)); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	fmt.Fprint(w, "done")
}

// TestReload: SIGHUP and a changed file replace the processes of stream mode, but not while a job
// is in one.
func TestReload(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(w *workerProcess, file string){
		"SIGHUP":         func(w *workerProcess, _ string) { w.signal(syscall.SIGHUP) },
		"a changed file": func(w *workerProcess, file string) { touch(w.t, file) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := jobserver.Gearmand(t)
			r := newRuns(t)
			code := t.TempDir()
			w := startWorker(t, []string{
				"RUNS=" + r.path,
			}, "stream", "--server", server.Addr, "--function", "slow", "--watch", code, "--log-level", "debug",
				"--", "sh", "-c", `echo $$ >>"$RUNS"; `+slowStream).waitReady()
			s := newSubmitter(t, server.Addr)
			gate := t.TempDir() + "/gate"
			s.send(submitJob, "slow", "", gate)
			kit.Eventually(t, "the job runs", func() bool { return len(r.list()) == 2 })
			first := r.list()[0]
			change(w, code+"/new.php")
			kit.Eventually(
				t, "the log says so", func() bool { return strings.Contains(w.log.String(), "eplacing the processes") },
			)
			if gone(first) {
				t.Error("the process was replaced in its job")
			}
			touch(t, gate)
			if a, err := s.wait(); err != nil || a.Result != "done" {
				t.Errorf("%+v, %v", a, err)
			}
			kit.Eventually(t, "the first process is gone", func() bool { return gone(first) })
			if a, err := s.do("slow", gate); err != nil || a.Result != "done" {
				t.Errorf("the next job: %+v, %v", a, err)
			}
			if got := slices.DeleteFunc(r.list(), func(line string) bool { return line == "run" }); len(got) != 2 {
				t.Errorf("processes %v, want the first and the one in its place", got)
			}
		})
	}
}

// TestHardStops: everything that ends a job early requeues it, once, and leaves none of its
// processes behind.
func TestHardStops(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		stop func(*workerProcess)
		code int
	}{
		"drain timeout": {
			[]string{"--drain-timeout", "300ms"}, func(w *workerProcess) { w.signal(syscall.SIGTERM) }, 3,
		},
		"second SIGTERM": {nil, func(w *workerProcess) {
			kit.Eventually(w.t, "a second signal counts", func() bool {
				_ = w.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
				return strings.Contains(w.log.String(), "Stopping at once")
			})
		}, 3},
		"SIGKILL": {nil, func(w *workerProcess) { w.signal(syscall.SIGKILL) }, -1},
	} {
		for _, mode := range []string{"exec", "stream"} {
			t.Run(name+" "+mode, func(t *testing.T) {
				t.Parallel()
				server := jobserver.Gearmand(t)
				r := newRuns(t)
				command := []string{"--", "sh", "-c", `echo $$ >>"$RUNS"; exec sleep 1000`}
				if mode == "stream" {
					command = []string{"--", "sh", "-c", `read h <&3; echo '{"type":"ready","version":1}' >&4; read j <&3; echo $$ >>"$RUNS"; exec sleep 1000`}
				}
				args := append(
					append([]string{mode, "--server", server.Addr, "--function", "slow"}, tc.args...), command...,
				)
				w := startWorker(t, []string{"RUNS=" + r.path}, args...).waitReady()
				newSubmitter(t, server.Addr).background("slow", "x")
				kit.Eventually(t, "the job runs", func() bool { return len(r.list()) == 1 })
				tc.stop(w)
				if code := w.exit(); code != tc.code {
					t.Errorf("exit code %d, want %d", code, tc.code)
				}
				kit.Eventually(t, "the job is queued again", func() bool {
					total, running := queued(t, server.Addr, "slow")
					return total == 1 && running == 0
				})
				kit.Eventually(t, "its process is gone", func() bool { return gone(r.list()[0]) })
				if n := len(r.list()); n != 1 {
					t.Errorf("%d runs", n)
				}
			})
		}
	}
}

func TestTelemetry(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	r := newRuns(t)
	w := startWorker(t, []string{
		"RUNS=" + r.path, "GEARMAN_WORKER_POD_UID=0a1b2c3d-0000", "GEARMAN_WORKER_POD_NAME=pool-abc",
	},
		"exec", "--server", server.Addr, "--function", "slow", "--concurrency", "3", "--", "sh", "-c", slowJob).waitReady()
	full := func() (report telemetry.Report) {
		t.Helper()
		n := 0
		for _, id := range clientIDs(t, server.Addr) {
			if parsed, err := telemetry.Parse([]byte(id)); err == nil && parsed.Full {
				report = parsed
				n++
			}
		}
		if n > 1 {
			t.Errorf("%d connections carry the figures", n)
		}
		return report
	}
	kit.Eventually(t, "idle", func() bool {
		f := full()
		return f.Full && f.Capacity == 3 && f.Busy == 0 && string(f.Pod) == "pool-abc"
	})
	s := newSubmitter(t, server.Addr)
	gate := t.TempDir() + "/gate"
	s.send(submitJob, "slow", "", gate)
	kit.Eventually(t, "busy", func() bool { return full().Busy == 1 })
	w.signal(syscall.SIGTERM)
	touch(t, gate)
	if _, err := s.wait(); err != nil {
		t.Fatal(err)
	}
	var f telemetry.Report
	kit.Eventually(
		t, "the last count arrives, though the worker stops",
		func() bool { f = full(); return f.Counters.OK == 1 && f.Busy == 0 },
	)
	if f.Counters.OKMillis == 0 || f.Counters.Failed != 0 || f.Counters.Requeued != 0 {
		t.Errorf("counters %+v", f.Counters)
	}
	if code := w.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
