package gearmanctl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
)

// TestMain lets the test binary be gearmanctl.
func TestMain(m *testing.M) {
	if os.Getenv("GEARMANCTL_TEST") == "1" {
		os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// program is gearmanctl as a process of its own.
type program struct {
	cmd *exec.Cmd
	log *logBuffer
}

func run(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(os.Args[0], args...), log: &logBuffer{}}
	p.cmd.Env = append(os.Environ(), "GEARMANCTL_TEST=1")
	// A file, so that workers that outlive it don't keep Wait waiting.
	out, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	name := out.Name()
	go func() { // ends with the test
		for seen := 0; ; {
			data, err := os.ReadFile(name)
			if err == nil && len(data) > seen {
				_, _ = p.log.Write(data[seen:])
				seen = len(data)
			}
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
		close(stop)
	})
	return p
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(3 * time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within three minutes: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (p *program) awaitLog(t *testing.T, want string) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("log:\n%s", p.log)
		}
	}()
	await(t, "a log line with "+want, func() bool { return strings.Contains(p.log.String(), want) })
}

const poolFile = `apiVersion: gearman.dev/v1alpha1
kind: GearmanWorkerPool
metadata: {name: p}
spec:
  servers: [%q]
  function: f
  runtime: {exec: {command: [sh, -c, 'echo started >>%s/started; while ! test -e %s/go; do sleep 0.02; done; echo done']}}
  minReplicas: 1
  scaling: {pollSeconds: 1}
`

// up is killed while a job runs: its worker finishes the job and ends. The next one counts that
// worker until then and continues.
func TestUpIsKilled(t *testing.T) {
	t.Parallel()
	server := gearmantest.NewServer(gearmantest.Options{})
	defer server.Close()
	dir := t.TempDir()
	file, state := filepath.Join(dir, "pool.yaml"), filepath.Join(dir, "state")
	if err := os.WriteFile(file, fmt.Appendf(nil, poolFile, server.Addr(), dir, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	first := run(t, "up", file, "--state-dir", state)
	first.awaitLog(t, "Worker is registered")
	c, err := client.New(client.Options{Servers: []string{server.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	results := make(chan string, 2)
	for range 2 {
		go func() {
			data, err := c.Do(context.Background(), &client.Task{Function: "f"})
			results <- fmt.Sprint(string(data), err)
		}()
	}
	started := func(n int) func() bool {
		return func() bool {
			data, _ := os.ReadFile(filepath.Join(dir, "started")) // not there yet
			return strings.Count(string(data), "\n") >= n
		}
	}
	await(t, "a running job", started(1))
	_ = first.cmd.Process.Kill()
	_ = first.cmd.Wait()

	second := run(t, "up", file, "--state-dir", state, "--listen", "127.0.0.1:0")
	second.awaitLog(t, "still finish their jobs")
	await(t, "the other job in a worker of the second", started(2))
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := <-results; got != "done\n<nil>" {
			t.Errorf("a job ended with %q", got)
		}
	}
	_ = second.cmd.Process.Signal(syscall.SIGTERM)
	if err := second.cmd.Wait(); err != nil {
		t.Errorf("%v; log:\n%s", err, second.log)
	}
	// The leftover stays for a few seconds, so that its last counts are read.
	await(t, "no worker that lives", func() bool {
		left, _ := filepath.Glob(filepath.Join(state, "*.worker"))
		return !slices.ContainsFunc(left, alive)
	})
}

// alive reports whether a worker holds the lock on its state file.
func alive(path string) bool {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// SIGHUP reads the files again, two SIGTERM requeue the job, and the figures are served.
func TestUpSignals(t *testing.T) {
	t.Parallel()
	server := gearmantest.NewServer(gearmantest.Options{})
	defer server.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "pool.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, poolFile, server.Addr(), dir, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	p := run(t, "up", file, "--state-dir", filepath.Join(dir, "state"), "--listen", "127.0.0.1:0")
	p.awaitLog(t, "Worker is registered")
	_, rest, _ := strings.Cut(p.log.String(), "address=")
	addr, _, _ := strings.Cut(rest, "\n")
	for path, want := range map[string]string{"/metrics": `gearman_pool_replicas{namespace="default",pool="p"} 1`, "/pools": `"name": "p"`, "/healthz": "ok"} {
		await(t, want+" in "+path, func() bool {
			response, err := http.Get("http://" + addr + path)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			return err == nil && strings.Contains(string(body), want)
		})
	}
	c, err := client.New(client.Options{Servers: []string{server.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Background(t.Context(), &client.Task{Function: "f"}); err != nil {
		t.Fatal(err)
	}
	await(t, "a running job", func() bool {
		_, err := os.Stat(filepath.Join(dir, "started"))
		return err == nil
	})
	_ = p.cmd.Process.Signal(syscall.SIGHUP)
	p.awaitLog(t, "Files read again")
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	p.awaitLog(t, "interrupt again")
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	p.awaitLog(t, "running jobs are requeued")
	_ = p.cmd.Wait()
	p.awaitLog(t, "before all its jobs were finished")
}

func TestUpRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"no file":    {nil, "name at least one file"},
		"a format":   {[]string{"x.yaml", "--log-format", "xml"}, "--log-format must be text or json"},
		"not a file": {[]string{"/does/not/exist", "--state-dir", t.TempDir()}, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := newCommand(streams{strings.NewReader(""), io.Discard, io.Discard})
			cmd.SetArgs(append([]string{"up"}, tt.args...))
			if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
}
