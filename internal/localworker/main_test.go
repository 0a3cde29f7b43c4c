package localworker

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/test/kit"
)

// TestMain lets the test binary be the worker process.
func TestMain(m *testing.M) {
	if os.Getenv("GEARMANCTL_TEST_WORKER") == "1" {
		os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// process is a worker process, as internal/local starts it.
type process struct {
	cmd   *exec.Cmd
	alive io.Closer // its standard input
	out   *bufio.Reader
	log   *kit.Buffer
	state string
}

func start(t *testing.T, flags []string, args ...string) *process {
	t.Helper()
	p := &process{state: filepath.Join(t.TempDir(), "state"), log: &kit.Buffer{}}
	args = append(append([]string{"--state=" + p.state, "--uid=abcdefgh", "--name=w"}, flags...), args...)
	p.cmd = exec.Command(os.Args[0], args...)
	p.cmd.Env = append(os.Environ(), "GEARMANCTL_TEST_WORKER=1")
	p.cmd.Stderr = p.log
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.alive, p.out = in, bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
	})
	return p
}

// awaitReady waits until the worker reports that it is ready.
func (p *process) awaitReady(t *testing.T) {
	t.Helper()
	if line, err := p.out.ReadString('\n'); line != Ready {
		t.Fatalf("the worker says %q, %v; log:\n%s", line, err, p.log)
	}
}

// wait returns the worker's exit code.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	done := time.AfterFunc(time.Minute, func() { _ = p.cmd.Process.Kill() })
	defer done.Stop()
	err := p.cmd.Wait()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return failed.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0
}

// A program ends with the parent, and the lock on the state file with the program.
func TestCommandEndsWithTheParent(t *testing.T) {
	t.Parallel()
	p := start(
		t, []string{"--drain=30s"}, Command, "sh", "-c",
		"trap 'echo got TERM >&2; exit 7' TERM; echo up >&2; while :; do sleep 0.05; done",
	)
	p.awaitReady(t)
	for !strings.Contains(p.log.String(), "up") { // the trap is set
		time.Sleep(5 * time.Millisecond)
	}
	s, alive, err := Read(p.state)
	if err != nil || !alive || s.PID != p.cmd.Process.Pid || s.Name != "w" || s.UID != "abcdefgh" {
		t.Errorf("state = %+v, alive %v, %v", s, alive, err)
	}
	if _, err := Lock(p.state, nil); !errors.Is(err, ErrLocked) {
		t.Errorf("a second lock: %v, want ErrLocked", err)
	}
	_ = p.alive.Close()
	if code := p.wait(t); code != 7 || !strings.Contains(p.log.String(), "got TERM") {
		t.Errorf("exit code %d, log:\n%s", code, p.log)
	}
	if _, alive, err := Read(p.state); alive || err != nil {
		t.Errorf("alive %v, %v after the end", alive, err)
	}
}

func TestCommandThatDoesNotEndIsKilled(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		drain   string
		signals int
	}{"overdue": {"50ms", 1}, "second signal": {"1h", 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(
				t, []string{"--drain=" + tt.drain}, Command, "sh", "-c",
				"trap 'echo no >&2' TERM; echo up >&2; while :; do sleep 0.05; done",
			)
			p.awaitReady(t)
			for !strings.Contains(p.log.String(), "up") {
				time.Sleep(5 * time.Millisecond)
			}
			_ = p.cmd.Process.Signal(syscall.SIGTERM)
			for tt.signals > 1 && !strings.Contains(p.log.String(), "no") {
				time.Sleep(5 * time.Millisecond)
			}
			if tt.signals > 1 {
				_ = p.cmd.Process.Signal(syscall.SIGTERM)
			}
			if code := p.wait(t); code != exitFailed {
				t.Errorf("exit code %d, want %d", code, exitFailed)
			}
		})
	}
}

// A job that runs while the parent dies is finished, though the log has no reader any more.
func TestRuntimeFinishesItsJob(t *testing.T) {
	t.Parallel()
	server := gearmantest.NewServer(gearmantest.Options{})
	defer server.Close()
	dir := t.TempDir()
	p := start(t, nil, "exec", "--server="+server.Addr(), "--function=f", "--drain-timeout=30s", "--", "sh", "-c",
		"touch "+dir+"/started; while ! test -e "+dir+"/go; do sleep 0.02; done; echo noise >&2; printf done")
	p.awaitReady(t)
	c, err := client.New(client.Options{Servers: []string{server.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	result := make(chan string, 1)
	go func() {
		data, err := c.Do(t.Context(), &client.Task{Function: "f"})
		if err != nil {
			data = []byte(err.Error())
		}
		result <- string(data)
	}()
	for {
		if _, err := os.Stat(filepath.Join(dir, "started")); err == nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	_ = p.alive.Close()
	for !strings.Contains(p.log.String(), "Draining") {
		time.Sleep(5 * time.Millisecond)
	}
	// The end of the parent after a SIGTERM, or a SIGTERM after that end, must not requeue the job:
	// only a second signal does.
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := <-result; got != "done" {
		t.Errorf("the job ended with %q, want its result; log:\n%s", got, p.log)
	}
	if code := p.wait(t); code != 0 {
		t.Errorf("exit code %d; log:\n%s", code, p.log)
	}
}

func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	p := start(t, []string{"--memory=536870912", "--drain=10s"}, Command, "sh", "-c", "ulimit -d >&2")
	p.awaitReady(t)
	if code := p.wait(t); code != 0 || !strings.Contains(p.log.String(), "524288") {
		t.Errorf("exit code %d; ulimit -d says %q, want 524288 KiB", code, p.log)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "s")
	taken := filepath.Join(t.TempDir(), "taken")
	lock, err := Lock(taken, State{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	for name, tt := range map[string]struct {
		args []string
		code int
		want string
	}{
		"by hand":  {nil, exitUsage, "for gearmanctl up"},
		"no state": {[]string{"command", "true"}, exitUsage, "for gearmanctl up"},
		"a flag":   {[]string{"--nonsense"}, exitUsage, "nonsense"},
		"a mode":   {[]string{"--state=" + state, "dance", "x"}, exitUsage, "dance"},
		"no such program": {
			[]string{"--state=" + state + "1", "command", "/does/not/exist"}, exitFailed, "no such file",
		},
		"a directory":       {[]string{"--state=/", "command", "true"}, exitFailed, "lock the state file"},
		"a state file used": {[]string{"--state=" + taken, "command", "true"}, exitFailed, "another process"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var errs bytes.Buffer
			if code := Main(tt.args, strings.NewReader(""), io.Discard, &errs); code != tt.code ||
				!strings.Contains(errs.String(), tt.want) {
				t.Errorf("exit code %d, %q; want %d, %q", code, errs.String(), tt.code, tt.want)
			}
		})
	}
}

func TestReadGarbage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	if _, _, err := Read(path); err == nil {
		t.Error("no error for a file that does not exist")
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, alive, err := Read(path); alive || err != nil {
		t.Errorf("alive %v, %v: a worker that was killed while it wrote is just gone", alive, err)
	}
}
