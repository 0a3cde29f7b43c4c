package workerruntime_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/test/kit"
)

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

// gone reports whether a process no longer runs. A zombie that another process must reap counts as
// gone.
func gone(pid string) bool { s := state(pid); return s == "" || s == "Z" }

// state returns the letter of a process's state, empty if there is no such process.
func state(pid string) string {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return rest[:1]
}

// children lists the children of a process with their states.
func children(pid int) (list []string) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		b, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		if f := strings.Fields(rest); f[1] == strconv.Itoa(pid) {
			list = append(list, e.Name()+" "+f[0])
		}
	}
	return list
}

func TestJobServerRestart(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	w := startWorker(
		t, nil, "exec", "--server", server.Addr, "--function", "upper", "--", "tr", "a-z", "A-Z",
	).waitReady()
	if a, err := newSubmitter(t, server.Addr).do("upper", "one"); a.Result != "ONE" {
		t.Fatalf("%+v, %v", a, err)
	}
	server.Restart(t)
	if code, _ := w.get("/readyz"); code != 200 {
		t.Errorf("readyz is %d after the job server has gone: pods would be taken down for that", code)
	}
	if a, err := newSubmitter(t, server.Addr).do("upper", "two"); a.Result != "TWO" {
		t.Errorf("after the restart: %+v, %v", a, err)
	}
}

// TestJobServerRestartInAJob: a job that runs while the job server restarts runs to its end, and
// its outcome is not reported twice.
func TestJobServerRestartInAJob(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	r := newRuns(t)
	w := startWorker(
		t, []string{"RUNS=" + r.path}, "exec", "--server", server.Addr, "--function", "slow", "--", "sh", "-c", slowJob,
	).waitReady()
	s := newSubmitter(t, server.Addr)
	gate := t.TempDir() + "/gate"
	s.send(submitJob, "slow", "", gate)
	w.waitBusy(1)
	server.Restart(t)
	touch(t, gate)
	w.waitBusy(0)
	if a, err := newSubmitter(t, server.Addr).do("slow", gate); a.Result != "done" {
		t.Errorf("the next job: %+v, %v", a, err)
	}
	if diff := cmp.Diff([]string{"run", "run"}, r.list()); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
	if _, m := w.get("/metrics"); !strings.Contains(m, `gearman_worker_jobs_total{function="slow",result="lost",reason="ok"} 1`) {
		t.Errorf("the lost job is not counted:\n%s", m)
	}
}

// TestCrashRequeue: with the policy for it a crash requeues the job, and the second attempt
// completes it.
func TestCrashRequeue(t *testing.T) {
	t.Parallel()
	for mode, script := range map[string]string{
		"exec": `echo run >>"$RUNS"; [ $(wc -l <"$RUNS") -gt 1 ] || kill -9 $$; printf ok`,
		"stream": `read h <&3; echo '{"type":"ready","version":1}' >&4; read j <&3; echo run >>"$RUNS"; [ $(wc -l <"$RUNS") -gt 1 ] || kill -9 $$
			printf '{"type":"complete","id":%s,"bytes":2}\nok' "$(echo "$j" | sed 's/.*"id":\([0-9]*\).*/\1/')" >&4; read end <&3`,
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			server := jobserver.Gearmand(t)
			r := newRuns(t)
			startWorker(
				t, []string{"RUNS=" + r.path}, mode, "--server", server.Addr, "--function", "f", "--on-crash",
				"requeue", "--", "sh", "-c", script,
			).waitReady()
			a, err := newSubmitter(t, server.Addr).do("f", "")
			if err != nil || a.End != complete || a.Result != "ok" {
				t.Errorf("%+v, %v", a, err)
			}
			if diff := cmp.Diff([]string{"run", "run"}, r.list()); diff != "" {
				t.Errorf("runs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFailuresReachTheClient(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	startWorker(t, nil, "exec", "--server", server.Addr, "--function", "f", "--exceptions", "--on-crash", "fail", "--max-result", "1000", "--", "sh", "-c",
		`echo status 1/2 >&3; echo warning careful >&3; case $(cat) in exit) echo broken >&2; exit 4;; flood) exec yes;; crash) kill -9 $$;; esac`).waitReady()
	for workload, want := range map[string]answer{
		"fine": {End: complete, Progress: []string{"status 1/2", "warning careful"}},
		"exit": {
			End: exception, Result: "command ended with exit code 4\nbroken\n",
			Progress: []string{"status 1/2", "warning careful"},
		},
		"flood": {
			End: exception, Result: "result is larger than the limit of 1000 bytes (--max-result)",
			Progress: []string{"status 1/2", "warning careful"},
		},
		"crash": {
			End: exception, Result: "command was killed by signal 9 (killed)",
			Progress: []string{"status 1/2", "warning careful"},
		},
	} {
		got, err := newSubmitter(t, server.Addr).exceptions().do("f", workload)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", workload, diff)
		}
	}
	// The job has a function of its own; the others have no time limit.
	startWorker(
		t, nil, "exec", "--server", server.Addr, "--function", "hang", "--exceptions", "--job-timeout", "300ms", "--",
		"sleep", "1000",
	).waitReady()
	got, err := newSubmitter(t, server.Addr).exceptions().do("hang", "")
	if diff := cmp.Diff(answer{End: exception, Result: "job timeout exceeded"}, got); diff != "" || err != nil {
		t.Errorf("a job that hangs (-want +got):\n%s, %v", diff, err)
	}
}

// TestFailuresReachLibgearman: libgearman's own client waits for a job that fails, and gets the
// failure. With gearmand 1.1.20 it would not get an exception.
func TestFailuresReachLibgearman(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("gearman"); err != nil {
		t.Skip("the gearman command is not installed: apt-get install gearman-tools")
	}
	server := jobserver.Gearmand(t)
	host, port, _ := strings.Cut(server.Addr, ":")
	startWorker(
		t, nil, "exec", "--server", server.Addr, "--function", "f", "--", "sh", "-c", "echo broken >&2; exit 4",
	).waitReady()
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, "gearman", "-h", host, "-p", port, "-f", "f", "x").CombinedOutput()
	if _, ended := errors.AsType[*exec.ExitError](err); !ended || ctx.Err() != nil {
		t.Errorf("the client ended with %v: %s", err, out)
	}
	// With warnings, the client's standard error has the reason.
	startWorker(
		t, nil, "exec", "--server", server.Addr, "--function", "warns", "--failure-warnings", "--", "sh", "-c",
		"echo broken >&2; exit 4",
	).waitReady()
	out, err = exec.CommandContext(ctx, "gearman", "-h", host, "-p", port, "-f", "warns", "x").CombinedOutput()
	if _, ended := errors.AsType[*exec.ExitError](err); !ended ||
		!strings.Contains(string(out), "command ended with exit code 4\nbroken\n") {
		t.Errorf("the client ended with %v: %s", err, out)
	}
	want := answer{End: fail, Progress: []string{"warning command ended with exit code 4\nbroken\n"}}
	if a, err := newSubmitter(t, server.Addr).do("warns", "x"); err != nil || cmp.Diff(want, a) != "" {
		t.Errorf("%+v, %v; want the reason before the failure", a, err)
	}
	// A client that asked for exceptions gets the same.
	if a, err := newSubmitter(t, server.Addr).exceptions().do("f", "x"); err != nil || a.End != fail {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestFailureWarningsReachPHP: PHP's extension passes the reason to the callback for warnings, and
// a plain call ends with the failure.
func TestFailureWarningsReachPHP(t *testing.T) {
	t.Parallel()
	if out, err := exec.Command("php", "-r", `exit(extension_loaded("gearman") ? 0 : 1);`).CombinedOutput(); err != nil {
		t.Skipf(
			"PHP with its gearman extension is not installed: apt-get install php-cli php-gearman (%v %s)", err, out,
		)
	}
	server := jobserver.Gearmand(t)
	host, port, _ := strings.Cut(server.Addr, ":")
	startWorker(
		t, nil, "exec", "--server", server.Addr, "--function", "f", "--failure-warnings", "--", "sh", "-c",
		"echo broken >&2; exit 4",
	).waitReady()
	const script = `$c = new GearmanClient(); $c->addServer($argv[1], (int)$argv[2]);
		@$c->doNormal("f", "x"); echo $c->returnCode() === GEARMAN_WORK_FAIL ? "failed\n" : "code ".$c->returnCode()."\n";
		$c->setWarningCallback(function ($t) { echo "warning ", $t->data(); });
		$c->setFailCallback(function ($t) { echo "failed\n"; });
		$c->addTask("f", "x"); $c->runTasks();`
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, "php", "-r", script, "--", host, port).CombinedOutput()
	if diff := cmp.Diff("failed\nwarning command ended with exit code 4\nbroken\nfailed\n", string(out)); err != nil ||
		diff != "" {
		t.Errorf("PHP ended with %v (-want +got):\n%s", err, diff)
	}
}

// TestLargeOutput: of 100 MB of output, too much for the limit fails the job, and output within the
// limit goes via the disk. Memory stays small either way.
func TestLargeOutput(t *testing.T) {
	t.Parallel()
	const size = 100_000_000
	for name, tc := range map[string]struct {
		limit string
		end   uint32
		bytes int
	}{
		"above the limit":  {"64Mi", fail, 0},
		"within the limit": {"128Mi", complete, size},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := jobserver.Gearmand(t)
			w := startWorker(t, nil, "exec", "--server", server.Addr, "--function", "f", "--max-result", tc.limit, "--spool-dir", t.TempDir(),
				"--", "head", "-c", strconv.Itoa(size), "/dev/zero").waitReady()
			a, err := newSubmitter(t, server.Addr).do("f", "")
			if err != nil || a.End != tc.end || len(a.Result) != tc.bytes {
				t.Errorf("packet %d with %d bytes, %v", a.End, len(a.Result), err)
			}
			if kib := w.procField("VmHWM"); kib > 40<<10 {
				t.Errorf("the worker took %d KiB of memory", kib)
			}
		})
	}
}

// TestLargeWorkloads: large workloads are on disk, not in memory, four at once.
func TestLargeWorkloads(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	w := startWorker(
		t, nil, "exec", "--server", server.Addr, "--function", "f", "--concurrency", "4", "--spool-dir", t.TempDir(),
		"--", "sh", "-c", "wc -c; sleep 0.2",
	).waitReady()
	size := 8 << 20
	if os.Getenv("GEARMAN_TEST_LONG") != "" {
		size = 64 << 20 // gearmand is slow with these
	}
	large := strings.Repeat("x", size)
	var wg sync.WaitGroup
	for range 4 {
		s := newSubmitter(t, server.Addr)
		wg.Go(func() {
			if a, err := s.do("f", large); err != nil || strings.TrimSpace(a.Result) != strconv.Itoa(len(large)) {
				t.Errorf("%.100q, %v", a.Result, err)
			}
		})
	}
	wg.Wait()
	kib := w.procField("VmHWM")
	t.Logf("%d KiB of memory for 4 workloads of %d MiB", kib, size>>20)
	if kib > 32<<10 {
		t.Errorf("the worker took %d KiB of memory", kib)
	}
}

// TestZombiesAndOrphans: everything that a job leaves behind is ended or reaped.
func TestZombiesAndOrphans(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	w := startWorker(t, nil, "exec", "--server", server.Addr, "--function", "f", "--concurrency", "2", "--", "sh", "-c",
		// One child in the job's group continues to run. One in a session of its own ends after the
		// job: an orphan that the worker adopts.
		`sleep 1000 >/dev/null 2>&1 3>&- & setsid sleep 0.1 >/dev/null 2>&1 3>&- & printf ok`).waitReady()
	s := newSubmitter(t, server.Addr)
	begin := w.descriptors()
	for range 20 {
		if a, err := s.do("f", ""); a.Result != "ok" {
			t.Fatalf("%+v, %v", a, err)
		}
	}
	kit.Eventually(t, "no children are left", func() bool { return len(children(w.cmd.Process.Pid)) == 0 })
	// Each of the two slots keeps an epoll set; our own requests for its state may have a
	// connection.
	if n := w.descriptors(); n > begin+3 {
		t.Errorf("%d descriptors after 20 jobs, %d before", n, begin)
	}
}

// TestFullDisk: a full disk under the spool ends the job whose result or workload doesn't fit, by
// the crash policy. The worker and its connection stay.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	type end struct {
		end    uint32
		reason string
	}
	failed := end{exception, `result="failed",reason="spool_failed"`}
	for policy, wants := range map[string]map[string]end{
		"fail": {"result": failed, "workload": failed},
		// A workload that could not be stored can't be submitted again: the job is requeued until
		// gearmand gives it up.
		"requeue": {"result": failed, "workload": {fail, `result="requeued",reason="spool_failed"`}},
	} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			server := jobserver.Gearmand(t, "--job-retries=2")
			dir := t.TempDir()
			// The file system of 256 KiB is in a mount namespace of the worker's own.
			w := startCommand(t, nil, "unshare", "--mount", "--map-root-user", "sh", "-c", `mount -t tmpfs -o size=256k tmpfs "$1" && shift && exec "$@"`, "sh", dir,
				binary_, "exec", "--server", server.Addr, "--function", "workload", "--function", "result",
				"--spool-dir", dir, "--spool-above", "100Ki",
				"--on-crash", policy, "--exceptions", "--", "sh", "-c", `[ $GEARMAN_FUNCTION = result ] && head -c 1000000 /dev/zero; cat`)
			kit.Eventually(t, "the worker starts, or has no right to mount", func() bool {
				code, _ := w.get("/readyz")
				return code == 200 || strings.Contains(w.log.String(), "unshare:") ||
					strings.Contains(w.log.String(), "mount:")
			})
			if strings.Contains(w.log.String(), "unshare:") || strings.Contains(w.log.String(), "mount:") {
				t.Skip("no right to mount a file system here: " + w.log.String())
			}
			for function, workload := range map[string]string{
				"result": "", "workload": strings.Repeat("x", 1_000_000),
			} {
				want := wants[function]
				a, err := newSubmitter(t, server.Addr).exceptions().do(function, workload)
				if err != nil || a.End != want.end {
					t.Errorf("a %s that doesn't fit: packet %d, %v; want packet %d", function, a.End, err, want.end)
				}
				if want.end == exception {
					for _, part := range []string{"keep the " + function, "no space left on device"} {
						if !strings.Contains(a.Result, part) {
							t.Errorf("a %s that doesn't fit: %q has no %q", function, a.Result, part)
						}
					}
				}
			}
			w.waitBusy(0) // a job is counted just after the client has its answer
			_, m := w.get("/metrics")
			for _, function := range []string{"result", "workload"} {
				if reason := wants[function].reason; !strings.Contains(m, `gearman_worker_jobs_total{function="`+function+`",`+reason) {
					t.Errorf("no job of %s has %s:\n%s", function, reason, m)
				}
			}
			if policy == "fail" && !strings.Contains(m, `gearman_worker_reconnects_total{server="`+server.Addr+`"} 0`) {
				t.Errorf("a connection was lost:\n%s", m)
			}
			if a, err := newSubmitter(t, server.Addr).do("workload", "small"); err != nil || a.Result != "small" {
				t.Errorf("the worker is of no more use: %+v, %v", a, err)
			}
			if n := w.log.lines(); n > 100 {
				t.Errorf("%d log lines", n)
			}
		})
	}
}

// TestJobServerAway: without a job server the worker waits without using the processor or filling
// the log. The minute of the full test is for make test-worker-long.
func TestJobServerAway(t *testing.T) {
	t.Parallel()
	away := 5 * time.Second
	if os.Getenv("GEARMAN_TEST_LONG") != "" {
		away = time.Minute
	}
	server := jobserver.Gearmand(t)
	w := startWorker(
		t, nil, "exec", "--server", server.Addr, "--function", "upper", "--concurrency", "8", "--", "tr", "a-z", "A-Z",
	).waitReady()
	server.Stop()
	before, lines := w.cpu(), w.log.lines()
	time.Sleep(away)
	t.Logf("%v of processor time and %d log lines in %v", w.cpu()-before, w.log.lines()-lines, away)
	if used, most := w.cpu()-before, away/50+200*time.Millisecond; used > most {
		t.Errorf("%v of processor time in %v, at most %v wanted", used, away, most)
	}
	if n, most := w.log.lines()-lines, 40+2*int(away.Seconds()); n > most {
		t.Errorf("%d log lines in %v, at most %d wanted", n, away, most)
	}
	server.Restart(t)
	if a, err := newSubmitter(t, server.Addr).do("upper", "back"); a.Result != "BACK" {
		t.Errorf("when it is back: %+v, %v", a, err)
	}
}

// TestHTTPServiceAway: an HTTP service that is unreachable for a while gets the job when it is
// back.
func TestHTTPServiceAway(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	var refuse atomic.Bool
	var refused atomic.Int64
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuse.Load() {
			refused.Add(1)
			http.Error(w, "starting", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.Copy(w, r.Body)
	}))
	defer service.Close()
	startWorker(t, nil, "http", "--server", server.Addr, "--function", "f", "--", service.URL).waitReady()
	refuse.Store(true)
	s := newSubmitter(t, server.Addr)
	s.send(submitJob, "f", "", "payload")
	kit.Eventually(t, "the service has refused the job", func() bool { return refused.Load() > 0 })
	refuse.Store(false)
	if a, err := s.wait(); a.Result != "payload" {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestInstall(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 { // the second time over an older one
		w := startWorker(t, nil, "install", dir)
		if code := w.exit(); code != 0 {
			t.Fatalf("exit code %d: %s", code, w.log.String())
		}
	}
	info, err := os.Stat(filepath.Join(dir, "gearman-worker"))
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info, err)
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 1 {
		t.Errorf("%d files in the directory", len(entries))
	}
	if w := startCommand(t, nil, filepath.Join(dir, "gearman-worker"), "version"); w.exit() != 0 {
		t.Error("the installed program does not run")
	}
	if w := startWorker(t, nil, "install", filepath.Join(dir, "missing")); w.exit() != 1 {
		t.Error("installed into a directory that does not exist")
	}
}

// TestCutConnectionRunsNoJobTwice: the connection of a running job is cut between worker and job
// server, and the job server gives the job to the worker's other slot. The command runs once, and
// the client gets its result.
func TestCutConnectionRunsNoJobTwice(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	between := newCutter(t, server.Addr)
	r := newRuns(t)
	w := startWorker(
		t, []string{"RUNS=" + r.path}, "exec", "--server", between.addr, "--function", "slow", "--concurrency", "2",
		"--", "sh", "-c", slowJob,
	).waitReady()
	s := newSubmitter(t, server.Addr)
	gate := filepath.Join(t.TempDir(), "gate")
	s.send(submitJob, "slow", "", gate)
	w.waitBusy(1)
	between.cut()
	kit.Eventually(
		t, "the job is given again", func() bool { return strings.Contains(w.log.String(), "waiting for its outcome") },
	)
	touch(t, gate)
	if a, err := s.wait(); err != nil || a.Result != "done" {
		t.Errorf("%+v, %v", a, err)
	}
	w.waitBusy(0)
	if diff := cmp.Diff([]string{"run"}, r.list()); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
	for _, sample := range []string{`result="completed",reason="ok"`, `result="lost",reason="ok"`} {
		if n := w.metric(`gearman_worker_jobs_total{function="slow",` + sample + `}`); n != "1" {
			t.Errorf("%s jobs with %s, want 1", n, sample)
		}
	}
	w.signal(syscall.SIGTERM)
	if code := w.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// cutter passes connections on to a job server.
type cutter struct {
	addr string

	mu    sync.Mutex
	conns []*cutPair
}

type cutPair struct {
	down, up net.Conn
	hasJob   atomic.Bool // a job came over it
}

func newCutter(t *testing.T, server string) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{addr: l.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			down, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", server)
			if err != nil {
				_ = down.Close()
				continue
			}
			p := &cutPair{down: down, up: up}
			c.mu.Lock()
			c.conns = append(c.conns, p)
			c.mu.Unlock()
			wg.Go(func() { p.pass(up, down, nil) })
			wg.Go(func() { p.pass(down, up, []byte("\x00RES\x00\x00\x00\x1f")) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		c.mu.Lock()
		for _, p := range c.conns {
			p.close()
		}
		c.mu.Unlock()
		wg.Wait()
	})
	return c
}

// pass copies one direction, and looks for the packet that assigns a job.
func (p *cutPair) pass(to, from net.Conn, job []byte) {
	defer p.close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if job != nil && bytes.Contains(buf[:n], job) {
			p.hasJob.Store(true)
		}
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

func (p *cutPair) close() {
	_ = p.down.Close()
	_ = p.up.Close()
}

// cut closes the connection over which a job came.
func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.conns {
		if p.hasJob.Load() {
			p.close()
			return // another connection gets the job at once
		}
	}
}
