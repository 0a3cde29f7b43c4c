package workerruntime_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/test/kit"
)

const (
	testPodUID  = "0a1b2c3d-4e5f-6789-abcd-ef0123456789"
	podUIDInEnv = "GEARMAN_WORKER_POD_UID=" + testPodUID
)

// placed writes a file in one step, so that nothing can read it half written.
func placed(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// metric is the value of a sample, empty if there is none.
func (w *workerProcess) metric(sample string) string {
	_, m := w.get("/metrics")
	for line := range strings.Lines(m) {
		if v, ok := strings.CutPrefix(line, sample+" "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// notFailed checks that no job failed because of the worker's trouble.
func (w *workerProcess) notFailed() {
	w.t.Helper()
	if _, m := w.get("/metrics"); strings.Contains(m, `result="failed"`) {
		w.t.Errorf("jobs have failed:\n%s", m)
	}
}

// trouble waits for the worker to report, in all places, that it can't run jobs: the reason in
// words, and the client id's letter.
func (w *workerProcess) trouble(addr, reason, letter string) {
	w.t.Helper()
	kit.Eventually(w.t, "the breaker opens", func() bool {
		_, s := w.get("/statusz")
		return strings.Contains(s, reason) && !strings.Contains(s, `"breaker": "closed"`)
	})
	kit.Eventually(w.t, "the client id says so", func() bool {
		return slices.ContainsFunc(
			clientIDs(w.t, addr), func(id string) bool { return strings.Contains(id, ";x="+letter) },
		)
	})
	kit.Eventually(w.t, "the worker is unready", func() bool {
		code, why := w.get("/readyz")
		return code == 503 && strings.Contains(why, reason)
	})
	kit.Eventually(w.t, "the log says so", func() bool {
		log := w.log.String()
		return strings.Contains(log, "Jobs can't be started") && strings.Contains(log, reason)
	})
}

// recovered waits until all jobs of f have completed.
func (w *workerProcess) recovered(addr string, jobs int) {
	w.t.Helper()
	kit.Eventually(w.t, fmt.Sprintf("%d jobs complete", jobs), func() bool {
		return w.metric(`gearman_worker_jobs_total{function="f",result="completed",reason="ok"}`) == fmt.Sprint(jobs)
	})
	kit.Eventually(w.t, "no job is left", func() bool {
		total, _ := queued(w.t, addr, "f")
		return total == 0
	})
	kit.Eventually(w.t, "the worker is ready again", func() bool { code, _ := w.get("/readyz"); return code == 200 })
	w.notFailed()
}

// TestBreakerCommandVanishes: a command that vanishes under a running worker costs no job, and the
// worker notices its return without a job.
func TestBreakerCommandVanishes(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"fail", "requeue"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			server := jobserver.Gearmand(t)
			tool := filepath.Join(t.TempDir(), "tool")
			placed(t, tool, "#!/bin/sh\n")
			w := startWorker(
				t, []string{podUIDInEnv}, "exec", "--server", server.Addr, "--function", "f", "--concurrency", "4",
				"--on-crash", policy, "--", tool,
			).waitReady()
			if err := os.Remove(tool); err != nil {
				t.Fatal(err)
			}
			const jobs = 300
			s := newSubmitter(t, server.Addr)
			for range jobs {
				s.background("f", "x")
			}
			w.trouble(server.Addr, "no such file or directory", "s")
			if total, running := queued(t, server.Addr, "f"); total != jobs || running != 0 {
				t.Errorf("%d jobs, %d of them running: all are to wait", total, running)
			}
			placed(t, tool, "#!/bin/sh\n")
			w.recovered(server.Addr, jobs)
		})
	}
}

// TestBreakerTooFewDescriptors: with too few descriptors for all slots at once, jobs wait for each
// other and none fails.
func TestBreakerTooFewDescriptors(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	w := startCommand(t, nil, "sh", "-c", `ulimit -n 100; exec "$@"`, "sh", binary_, "exec", "--server", server.Addr, "--function", "f",
		"--concurrency", "16", "--", "sh", "-c", "sleep 0.1").waitReady()
	const jobs = 120
	s := newSubmitter(t, server.Addr)
	for range jobs {
		s.background("f", "x")
	}
	w.recovered(server.Addr, jobs)
}

// TestBreakerNoProcessComesUp: a worker whose processes die and don't start again takes no jobs.
func TestBreakerNoProcessComesUp(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	script := filepath.Join(t.TempDir(), "worker.sh")
	const program = `read h <&3; echo '{"type":"ready","version":1}' >&4
while read j <&3; do
	case $j in
	*ping*) printf '{"type":"pong","id":%s}\n' "$(echo "$j" | sed 's/.*"id":\([0-9]*\).*/\1/')" >&4 ;;
	*) dd bs=1 count=1 <&3 >/dev/null 2>&1; [ -e "$DIE" ] && kill -9 $$; printf '{"type":"complete","id":%s}\n' "$(echo "$j" | sed 's/.*"id":\([0-9]*\).*/\1/')" >&4 ;;
	esac
done
`
	placed(t, script, program)
	die := filepath.Join(t.TempDir(), "die")
	w := startWorker(t, []string{
		podUIDInEnv, "DIE=" + die,
	}, "stream", "--server", server.Addr, "--function", "f", "--concurrency", "2",
		"--on-crash", "requeue", "--", "sh", script).waitReady()
	placed(t, script, "exit 1\n")
	touch(t, die)
	const jobs = 50
	s := newSubmitter(t, server.Addr)
	for range jobs {
		s.background("f", "x")
	}
	w.trouble(server.Addr, "no process is up", "p")
	if total, running := queued(t, server.Addr, "f"); total != jobs || running != 0 {
		t.Errorf("%d jobs, %d of them running: all are to wait", total, running)
	}
	if err := os.Remove(die); err != nil {
		t.Fatal(err)
	}
	placed(t, script, program)
	w.recovered(server.Addr, jobs)
}

// TestBreakerServiceGone: an unreachable service keeps no slots busy and costs no job.
func TestBreakerServiceGone(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	addr := freePort(t) // it is reused when the service returns
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	start := func(l net.Listener) *httptest.Server {
		s := httptest.NewUnstartedServer(
			http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }),
		)
		s.Listener = l
		s.Start()
		return s
	}
	service := start(l)
	w := startWorker(
		t, []string{podUIDInEnv}, "http", "--server", server.Addr, "--function", "f", "--concurrency", "4", "--",
		"http://"+addr,
	).waitReady()
	service.Close()
	const jobs = 100
	s := newSubmitter(t, server.Addr)
	for range jobs {
		s.background("f", "x")
	}
	w.trouble(server.Addr, "connection refused", "u")
	if total, running := queued(t, server.Addr, "f"); total != jobs || running != 0 {
		t.Errorf("%d jobs, %d of them running: all are to wait", total, running)
	}
	if l, err = net.Listen("tcp", addr); err != nil {
		t.Fatal(err)
	}
	service = start(l)
	defer service.Close()
	w.recovered(server.Addr, jobs)
}

// TestBreakerSlowsAFailingWorkerDown: a command that fails each job at once fails a bounded number
// of them.
func TestBreakerSlowsAFailingWorkerDown(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	good := filepath.Join(t.TempDir(), "good")
	const concurrency, jobs = 4, 400
	w := startWorker(t, []string{
		podUIDInEnv, "GOOD=" + good,
	}, "exec", "--server", server.Addr, "--function", "f", "--concurrency", fmt.Sprint(concurrency),
		"--", "sh", "-c", `[ -e "$GOOD" ]`).waitReady()
	begin := time.Now()
	s := newSubmitter(t, server.Addr)
	for range jobs {
		s.background("f", "x")
	}
	kit.Eventually(t, "the client id says so", func() bool {
		return slices.ContainsFunc(
			clientIDs(t, server.Addr), func(id string) bool { return strings.Contains(id, ";x=f") },
		)
	})
	for time.Since(begin) < 3*time.Second {
		total, _ := queued(t, server.Addr, "f")
		if gone, most := jobs-total, 20+concurrency+int(time.Since(begin).Seconds())+1; gone > most {
			t.Fatalf("%d jobs have failed within %v, at most %d wanted", gone, time.Since(begin), most)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if code, why := w.get("/readyz"); code != 200 {
		t.Errorf("readyz is %d, %s: a new pod would do no better", code, why)
	}
	touch(t, good)
	kit.Eventually(t, "the rest completes at full speed", func() bool {
		total, _ := queued(t, server.Addr, "f")
		return total == 0
	})
}

// TestBreakerDrain: a job that is held because it can't start does not delay the drain.
func TestBreakerDrain(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	service := httptest.NewServer(
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }),
	)
	defer service.Close()
	w := startWorker(t, nil, "http", "--server", server.Addr, "--function", "f", "--", service.URL).waitReady()
	newSubmitter(t, server.Addr).background("f", "x")
	w.waitBusy(1)
	w.signal(15)
	if code := w.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	kit.Eventually(t, "the job waits for another worker", func() bool {
		total, running := queued(t, server.Addr, "f")
		return total == 1 && running == 0
	})
}
