package workerruntime_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/internal/resolve"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/options"
	"github.com/gearman-operator/gearman-operator/test/kit"
)

// TestMaxJobServers: job servers beyond the limit are not used; the operator doesn't count them
// either.
func TestMaxJobServers(t *testing.T) {
	t.Parallel()
	used, left := jobserver.Gearmand(t), jobserver.Gearmand(t)
	for _, server := range []*jobserver.Server{used, left} {
		newSubmitter(t, server.Addr).background("f", "x")
	}
	w := startWorker(
		t, nil, "exec", "--server", used.Addr, "--server", left.Addr, "--max-job-servers", "1", "--function", "f",
		"--until-empty", "--", "true",
	)
	if code := w.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if total, _ := queued(t, used.Addr, "f"); total != 0 {
		t.Errorf("%d jobs are left at the first job server", total)
	}
	if total, _ := queued(t, left.Addr, "f"); total != 1 {
		t.Errorf("%d jobs are left at the second job server, want 1: the worker is to use one", total)
	}
	for _, o := range options.Table {
		if o.Name == "max-job-servers" && o.Default != fmt.Sprint(resolve.MaxServers) {
			t.Errorf("workers use %s job servers by themselves, the operator counts %d", o.Default, resolve.MaxServers)
		}
	}
}

func TestUntilEmpty(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	r := newRuns(t)
	s := newSubmitter(t, server.Addr)
	for range 20 {
		s.background("f", "x")
	}
	w := startWorker(t, []string{"RUNS=" + r.path}, "exec", "--server", server.Addr, "--function", "f", "--concurrency", "3", "--until-empty", "--", "sh", "-c", `echo run >>"$RUNS"`)
	if code := w.exit(); code != 0 || len(r.list()) != 20 {
		t.Errorf("exit code %d after %d of 20 jobs", code, len(r.list()))
	}
}

func TestExitAfterJobs(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"exec", "stream"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			server := jobserver.Gearmand(t)
			s := newSubmitter(t, server.Addr)
			for range 20 {
				s.background("f", "x")
			}
			command := map[string][]string{"exec": {"true"}, "stream": {"perl", "../../examples/perl/reverse.pl"}}[mode]
			w := startWorker(
				t, nil,
				append(
					[]string{
						mode, "--server", server.Addr, "--function", "f", "--concurrency", "4", "--exit-after-jobs",
						"7", "--",
					},
					command...,
				)...,
			)
			if code := w.exit(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if total, running := queued(t, server.Addr, "f"); total != 13 || running != 0 {
				t.Errorf("%d jobs are left and %d run, want 13 and 0", total, running)
			}
		})
	}
}

// TestFunctionConcurrency: only as many slots register a function as may run it.
func TestFunctionConcurrency(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	file := filepath.Join(t.TempDir(), "worker.yaml")
	if err := os.WriteFile(
		file,
		[]byte(
			"concurrency: 5\nhandlers:\n- function: one\n  exec: [cat]\n  function-concurrency: 1\n- function: all\n  exec: [cat]\n",
		),
		0o600,
	); err != nil {
		t.Fatal(err)
	}
	w := startWorker(t, nil, "run", "--server", server.Addr, "--config", file).waitReady()
	kit.Eventually(t, "the job server has confirmed the registrations of 5 slots", func() bool {
		_, body := w.get("/statusz")
		var s struct{ Servers []struct{ Connections int } }
		return json.Unmarshal([]byte(body), &s) == nil && len(s.Servers) == 1 && s.Servers[0].Connections == 5
	})
	if all, one := registrations(t, server.Addr, "all"), registrations(t, server.Addr, "one"); all != 5 || one != 1 {
		t.Errorf("%d registrations, %d of the limited function; want 5 and 1", all, one)
	}
}

// TestOutcomeThatCannotBeSent: a result that can't be sent during the drain is reported as lost.
func TestOutcomeThatCannotBeSent(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	r := newRuns(t)
	w := startWorker(
		t, []string{"RUNS=" + r.path}, "exec", "--server", server.Addr, "--function", "slow", "--", "sh", "-c", slowJob,
	).waitReady()
	gate := filepath.Join(t.TempDir(), "gate")
	newSubmitter(t, server.Addr).background("slow", gate)
	w.waitBusy(1)
	w.signal(syscall.SIGTERM)
	kit.Eventually(t, "it drains", func() bool { return strings.Contains(w.log.String(), "Draining") })
	server.Stop() // as a sidecar does that gets the same signal
	kit.Eventually(t, "the connection is gone", func() bool {
		return strings.Contains(w.log.String(), "connection is down") || w.metric(`gearman_worker_connected_servers`) == "0"
	})
	touch(t, gate)
	if code := w.exit(); code != 3 || strings.Contains(w.log.String(), "all its jobs are finished") ||
		!strings.Contains(w.log.String(), "could not be sent") {
		t.Errorf("exit code %d:\n%s", code, w.log.String())
	}
}

// TestJobsAreApartFromTheWorker: a job's process can't read what belongs to the worker: neither its
// descriptors nor, unless it is root, its environment and memory.
func TestJobsAreApartFromTheWorker(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	secret := filepath.Join(t.TempDir(), "secret")
	touch(t, secret)
	w := startCommand(t, nil, "sh", "-c", `exec 9<"$1"; shift; exec "$@"`, "sh", secret, binary_, "exec", "--server", server.Addr, "--function", "f",
		"--", "sh", "-c", `ls /proc/self/fd | tr '\n' ' '`).waitReady()
	a, err := newSubmitter(t, server.Addr).do("f", "")
	if err != nil || slices.Contains(strings.Fields(a.Result), "9") {
		t.Errorf("descriptors %q, %v: 9 is the worker's", a.Result, err)
	}
	info, err := os.Stat(fmt.Sprintf("/proc/%d/environ", w.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 0 {
		t.Errorf("the worker's environment can be read by user %d", uid)
	}
}

// TestMaxWorkload: a workload beyond the limit costs only its own job.
func TestMaxWorkload(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	w := startWorker(
		t, nil, "exec", "--server", server.Addr, "--function", "f", "--max-workload", "1000", "--retry-attempts", "3",
		"--", "cat",
	).waitReady()
	s := newSubmitter(t, server.Addr)
	for workload, want := range map[string]uint32{
		strings.Repeat("x", 1001): fail, strings.Repeat("x", 1000): complete,
	} {
		if a, err := s.do("f", workload); err != nil || a.End != want {
			t.Errorf("%d bytes: packet %d, %v", len(workload), a.End, err)
		}
	}
	if n := w.metric(`gearman_worker_reconnects_total{server="` + server.Addr + `"}`); n != "0" {
		t.Errorf("%s connections were lost", n)
	}
	kit.Eventually(
		t, "the log says why the job failed",
		func() bool { return strings.Contains(w.log.String(), "larger than --max-workload") },
	)
	kit.Eventually(t, "one job counts as rejected", func() bool {
		return w.metric(`gearman_worker_jobs_total{function="f",result="failed",reason="rejected"}`) == "1"
	})
}
