package workerruntime_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
	"github.com/gearman-operator/gearman-operator/gearman/worker"
	"github.com/gearman-operator/gearman-operator/internal/telemetry"
	"github.com/gearman-operator/gearman-operator/test/kit"
)

// deadLetters takes the jobs of a dead letter function off the job server.
func deadLetters(t *testing.T, addr, function string) (letters []worker.DeadLetter, payloads []string) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := proto.NewConn(nc, proto.Limits{})
	request := proto.AppendCanDo(nil, function)
	for {
		var handle string
		if err := c.Exchange(t.Context(), proto.AppendEmpty(
			request, proto.Request, proto.TypeGrabJob,
		), func(c *proto.Conn) error {
			p, err := c.Next()
			if err != nil || p.Type == proto.TypeNoJob {
				return err
			}
			a, err := p.Assignment()
			if err != nil {
				return err
			}
			d, payload, err := worker.ParseDeadLetter(a.Payload)
			letters, payloads, handle = append(letters, d), append(payloads, string(payload)), string(a.Handle)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if handle == "" {
			return letters, payloads
		}
		request = proto.AppendWork(nil, proto.Request, proto.TypeWorkComplete, handle, "")
	}
}

// TestRetries: a job in each mode fails twice, then completes, and knows which attempt it is. A job
// that always fails ends in the dead letter function; one that rejects its workload goes there
// without a second attempt.
func TestRetries(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	r := newRuns(t)
	w := startWorker(t, []string{
		"RUNS=" + r.path, podUIDInEnv,
	}, "exec", "--server", server.Addr, "--function", "f", "--retry-attempts", "3", "--retry-backoff", "1s",
		"--dead-letter-function", "dead", "--", "sh", "-c", `w=$(cat); echo "$w/$GEARMAN_ATTEMPT/$GEARMAN_UNIQUE" >>"$RUNS"; echo "about $w" >&2
		case $w in poison) exit 1;; permanent) exit 65;; esac; [ $GEARMAN_ATTEMPT -ge $w ]`).waitReady()
	s := newSubmitter(t, server.Addr)
	for _, workload := range []string{"1", "3", "poison", "permanent"} {
		s.send(submitJobBG, "f", "key-"+workload, workload)
		if kind, data, err := s.receive(); err != nil || kind != jobCreated {
			t.Fatalf("packet %d %q, %v", kind, data, err)
		}
	}
	kit.Eventually(t, "all jobs have ended", func() bool {
		total, _ := queued(t, server.Addr, "f")
		waiting, _ := queued(t, server.Addr, "f.retry")
		dead, _ := queued(t, server.Addr, "dead")
		return total+waiting == 0 && dead == 2
	})
	got := strings.Join(r.list(), " ")
	for _, run := range []string{
		"1/1/key-1", "3/1/key-3", "3/2/key-3", "3/3/key-3", "poison/3/key-poison", "permanent/1/key-permanent",
	} {
		if strings.Count(got, run) != 1 {
			t.Errorf("run %s is there %d times: %s", run, strings.Count(got, run), got)
		}
	}
	if n := len(r.list()); n != 8 {
		t.Errorf("%d runs, want 8: %s", n, got)
	}
	letters, payloads := deadLetters(t, server.Addr, "dead")
	for i, d := range letters {
		attempts := map[string]int{"poison": 3, "permanent": 1}[payloads[i]]
		if d.Attempts != attempts || d.Reason != "exit_code" || d.Stderr != "about "+payloads[i]+"\n" ||
			d.Unique != "key-"+payloads[i] || d.Worker == "" {
			t.Errorf("dead letter %+v of %s", d, payloads[i])
		}
	}
	for sample, want := range map[string]string{
		`gearman_worker_jobs_total{function="f",result="dead_lettered",reason="exit_code"}`: "2",
		`gearman_worker_jobs_total{function="f",result="retried",reason="exit_code"}`:       "4",
		`gearman_worker_retries_total{function="f",attempt="2",reason="exit_code"}`:         "2",
		`gearman_worker_retries_total{function="f",attempt="3",reason="exit_code"}`:         "2",
	} {
		kit.Eventually(t, sample+" is "+want, func() bool { return w.metric(sample) == want })
	}
	want := telemetry.Counters{OK: 2, Failed: 2, DeadLettered: 2, Requeued: 4, Retried: 4}
	kit.Eventually(t, "telemetry reports them, too", func() bool {
		return slices.ContainsFunc(clientIDs(t, server.Addr), func(id string) bool {
			report, err := telemetry.Parse([]byte(id))
			got := report.Counters
			got.OKMillis, got.BusyMillis = 0, 0
			return err == nil && report.Full && got == want
		})
	})
}

// TestCrashesAreBounded: without retries a crashing job is requeued until its third run, whether a
// client waits for it or not.
func TestCrashesAreBounded(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"requeue", "fail"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			server := jobserver.Gearmand(t)
			r := newRuns(t)
			startWorker(t, []string{
				"RUNS=" + r.path,
			}, "exec", "--server", server.Addr, "--function", "f", "--on-crash", policy,
				"--", "sh", "-c", `echo "$(cat)/$GEARMAN_ATTEMPT" >>"$RUNS"; kill -9 $$`).waitReady()
			s := newSubmitter(t, server.Addr)
			s.background("f", "background")
			s.send(submitJob, "f", "key", "foreground")
			if a, err := s.wait(); err != nil || a.End != fail {
				t.Errorf("%+v, %v", a, err)
			}
			kit.Eventually(t, "no job is left", func() bool { total, _ := queued(t, server.Addr, "f"); return total == 0 })
			runs := strings.Join(r.list(), " ")
			for _, job := range []string{"background", "foreground"} {
				if n, want := strings.Count(runs, job), map[string]int{"requeue": 3, "fail": 1}[policy]; n != want {
					t.Errorf("the %s job ran %d times, want %d: %s", job, n, want, runs)
				}
			}
		})
	}
}

// TestPoisonThatKillsWorkers: a job that kills its process and the worker with it, as the
// out-of-memory killer does to a container, ends after a few runs on three workers that are
// restarted each time. The other jobs complete.
func TestPoisonThatKillsWorkers(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", "poison-key"} {
		t.Run("key "+key, func(t *testing.T) {
			t.Parallel()
			server := jobserver.Gearmand(t)
			r := newRuns(t)
			stop := make(chan struct{})
			ended := make(chan struct{})
			for range 3 {
				dir := t.TempDir()
				go func() { // stands in for the kubelet of one pod
					defer func() { ended <- struct{}{} }()
					for {
						cmd := exec.Command(binary_, "exec", "--server", server.Addr, "--function", "f", "--dead-letter-function", "dead",
							"--journal-dir", dir, "--", "sh", "-c", `w=$(cat); echo "$w" >>"$RUNS"; [ "$w" != poison ] || kill -9 $PPID $$`)
						cmd.Env = append(os.Environ(), "RUNS="+r.path)
						cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
						if err := cmd.Start(); err != nil {
							t.Error(err)
							return
						}
						gone := make(chan struct{})
						go func() { _ = cmd.Wait(); close(gone) }()
						select {
						case <-gone:
							time.Sleep(50 * time.Millisecond) // a restart takes time
						case <-stop:
							_ = cmd.Process.Signal(syscall.SIGTERM)
							<-gone
							return
						}
					}
				}()
			}
			s := newSubmitter(t, server.Addr)
			submit := func(key, workload string) {
				s.send(submitJobBG, "f", key, workload)
				if kind, data, err := s.receive(); err != nil || kind != jobCreated {
					t.Fatalf("packet %d %q, %v", kind, data, err)
				}
			}
			const good = 50
			for i := range good / 2 {
				submit("", fmt.Sprint("good", i))
			}
			submit(key, "poison")
			for i := range good / 2 {
				submit("", fmt.Sprint("good", good/2+i))
			}
			kit.Eventually(t, "the poison is in the dead letter function, the rest has run", func() bool {
				total, _ := queued(t, server.Addr, "f")
				dead, _ := queued(t, server.Addr, "dead")
				return total == 0 && dead == 1
			})
			close(stop)
			for range 3 {
				<-ended
			}
			letters, payloads := deadLetters(t, server.Addr, "dead")
			if len(letters) != 1 || payloads[0] != "poison" || letters[0].Reason != "killed" ||
				letters[0].Unique != key {
				t.Errorf("dead letters %+v %v", letters, payloads)
			}
			runs := " " + strings.Join(r.list(), " ") + " "
			// Each worker counts the runs that killed it, and reports them to the others when it
			// sees the job again. A job without a key has another name for its first attempt.
			if n, most := strings.Count(runs, " poison "), map[bool]int{
				true: 6, false: 5,
			}[key == ""]; n < 3 || n > most {
				t.Errorf("the poison ran %d times, want 3 to %d", n, most)
			}
			for i := range good {
				if n := strings.Count(runs, fmt.Sprint(" good", i, " ")); n != 1 {
					t.Errorf("job %d ran %d times", i, n)
				}
			}
		})
	}
}

func TestJournalDirectoryIsChecked(t *testing.T) {
	t.Parallel()
	w := startWorker(
		t, nil, "exec", "--server", "127.0.0.1:1", "--function", "f", "--journal-dir",
		filepath.Join(t.TempDir(), "missing"), "--", "true",
	)
	if code := w.exit(); code != 1 || !strings.Contains(w.log.String(), "--journal-dir") {
		t.Errorf("exit code %d: %s", code, w.log.String())
	}
}

// TestSignalThatReachesTheJobToo: the signal that stops the worker may also reach a job's process,
// as under systemd, and does not fail the job.
func TestSignalThatReachesTheJobToo(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	r := newRuns(t)
	w := startWorker(t, []string{
		"RUNS=" + r.path,
	}, "exec", "--server", server.Addr, "--function", "f", "--on-crash", "fail", "--", "sh", "-c",
		`echo $$ >>"$RUNS"; while :; do sleep 0.1; done`).waitReady()
	newSubmitter(t, server.Addr).background("f", "x")
	kit.Eventually(t, "the job runs", func() bool { return len(r.list()) == 1 })
	var pid int
	_, _ = fmt.Sscan(r.list()[0], &pid)
	w.signal(syscall.SIGTERM)
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.exit()
	kit.Eventually(t, "the job was not failed", func() bool {
		total, running := queued(t, server.Addr, "f")
		return total == 1 && running == 0
	})
}
