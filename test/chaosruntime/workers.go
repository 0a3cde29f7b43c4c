package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
)

const concurrency = 4

// podWorker is a worker that is restarted whenever it ends, as a kubelet would restart it.
type podWorker struct {
	n      int
	dir    string
	tool   string
	listen string
	cmd    *exec.Cmd
	mu     sync.Mutex
	logs   *os.File
}

func newWorker(dir string, n int) (*podWorker, error) {
	w := &podWorker{n: n, dir: dir, tool: filepath.Join(dir, "tool-"+itoa(n))}
	var err error
	if w.listen, err = jobserver.FreeAddr(); err != nil {
		return nil, err
	}
	if err := os.Mkdir(filepath.Join(dir, "journal-"+itoa(n)), 0o755); err != nil {
		return nil, err
	}
	if w.logs, err = os.Create(filepath.Join(dir, "log-"+itoa(n))); err != nil {
		return nil, err
	}
	return w, w.restore()
}

// restore puts the command back in place, in one step.
func (w *podWorker) restore() error { return os.Link(filepath.Join(w.dir, jobProgram), w.tool) }

// keep runs the worker until ctx is done, then lets it drain.
func (w *podWorker) keep(ctx context.Context, program, server string) error {
	defer w.logs.Close()
	for ctx.Err() == nil {
		cmd := exec.Command(program, "exec", "--server", server, "--function", "jobs", "--concurrency", itoa(concurrency), "--listen", w.listen,
			"--retry-attempts", "4", "--retry-backoff", "1s", "--dead-letter-function", "jobs.dead", "--failing-after",
			"0",
			"--journal-dir", filepath.Join(w.dir, "journal-"+itoa(w.n)), "--", w.tool)
		cmd.Env = append(os.Environ(), "BOOK="+filepath.Join(w.dir, "book-"+itoa(w.n)))
		cmd.Stdout, cmd.Stderr = w.logs, w.logs
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			return err
		}
		w.mu.Lock()
		w.cmd = cmd
		w.mu.Unlock()
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		select {
		case <-ended:
			pause(ctx, 200*time.Millisecond)
		case <-ctx.Done():
			_ = cmd.Process.Signal(syscall.SIGTERM)
			<-ended
		}
	}
	return nil
}

// kill ends the worker and, with it, its jobs.
func (w *podWorker) kill() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cmd != nil {
		_ = w.cmd.Process.Kill()
	}
}

// notStarted returns how many jobs the worker took and could not start, and an id that changes when
// the worker restarts.
func (w *podWorker) notStarted() (jobs int, life string, err error) {
	client := http.Client{Timeout: 2 * time.Second}
	resp, err := client.Get("http://" + w.listen + "/metrics")
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), "} ")
		if strings.HasPrefix(name, "gearman_worker_jobs_total{") && strings.Contains(name, `reason="start_failed"`) {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return 0, "", fmt.Errorf("%s: %w", lines.Text(), err)
			}
			jobs += int(n)
		}
		if v, ok := strings.CutPrefix(lines.Text(), "process_start_time_seconds "); ok {
			life = v
		}
	}
	return jobs, life, lines.Err()
}

// outage removes the command for a while. It returns how many jobs the worker took meanwhile that
// it could not start, or -1 if that is unknown because the worker was killed.
func (w *podWorker) outage(ctx context.Context, d time.Duration) (int, error) {
	before, life, err := w.notStarted()
	if err != nil {
		before = -1
	}
	if err := os.Remove(w.tool); err != nil {
		return 0, err
	}
	pause(ctx, d)
	after, now, err := w.notStarted()
	if e := w.restore(); e != nil {
		return 0, e
	}
	if err != nil || before < 0 || now != life {
		return -1, nil //nolint:nilerr // the worker did not answer: the count is unknown
	}
	return after - before, nil
}
