package workerruntime_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/test/kit"
)

// binary_ is the program: the tests run the real one against a real gearmand.
var binary_ string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "gearman-worker-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary_ = filepath.Join(dir, "gearman-worker")
	build := exec.Command("go", "build", "-trimpath", "-o", binary_, "../../cmd/worker")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is built for the image
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		return 1
	}
	return m.Run()
}

const waitLimit = 60 * time.Second // for anything that happens at once on an idle machine

// workerProcess is a running gearman-worker.
type workerProcess struct {
	t      *testing.T
	cmd    *exec.Cmd
	listen string
	log    lockedBuffer
	ended  chan struct{}
}

// lockedBuffer is a log whose lines can be counted.
type lockedBuffer struct{ kit.Buffer }

func (b *lockedBuffer) lines() int { return strings.Count(b.String(), "\n") }

func freePort(t *testing.T) string {
	t.Helper()
	addr, err := jobserver.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// startWorker starts the program and doesn't wait for it to register.
func startWorker(t *testing.T, env []string, args ...string) *workerProcess {
	t.Helper()
	return startCommand(t, env, append([]string{binary_}, args...)...)
}

// startCommand starts a command line in which LISTEN stands for the address of the worker's
// endpoints.
func startCommand(t *testing.T, env []string, args ...string) *workerProcess {
	t.Helper()
	w := &workerProcess{t: t, listen: freePort(t), ended: make(chan struct{})}
	w.cmd = exec.Command(args[0], args[1:]...)
	w.cmd.Env = append(
		os.Environ(),
		append([]string{"GEARMAN_WORKER_LISTEN=" + w.listen, "GEARMAN_WORKER_LOG_FORMAT=text"}, env...)...,
	)
	w.cmd.Stdout, w.cmd.Stderr = &w.log, &w.log
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = w.cmd.Wait()
		close(w.ended)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-w.cmd.Process.Pid, syscall.SIGKILL)
		<-w.ended
		if t.Failed() {
			t.Logf("log of the worker:\n%.8000s", w.log.String())
		}
	})
	return w
}

func (w *workerProcess) get(path string) (int, string) {
	resp, err := http.Get("http://" + w.listen + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

func (w *workerProcess) waitReady() *workerProcess {
	w.t.Helper()
	kit.Eventually(w.t, "worker is ready", func() bool {
		select {
		case <-w.ended:
			w.t.Fatal("the worker has ended")
		default:
		}
		code, _ := w.get("/readyz")
		return code == 200
	})
	return w
}

// busy is the number of running jobs.
func (w *workerProcess) busy() int {
	_, body := w.get("/statusz")
	var s struct{ Busy int }
	if json.Unmarshal([]byte(body), &s) != nil {
		return -1
	}
	return s.Busy
}

func (w *workerProcess) waitBusy(n int) {
	w.t.Helper()
	kit.Eventually(w.t, fmt.Sprintf("%d jobs at work", n), func() bool { return w.busy() == n })
}

func (w *workerProcess) signal(s syscall.Signal) {
	w.t.Helper()
	if err := w.cmd.Process.Signal(s); err != nil {
		w.t.Fatal(err)
	}
}

// exit waits for the end and returns the exit code, -1 after a signal.
func (w *workerProcess) exit() int {
	w.t.Helper()
	select {
	case <-w.ended:
		return w.cmd.ProcessState.ExitCode()
	case <-time.After(waitLimit):
		w.t.Fatalf("the worker has not ended after %v", waitLimit)
		return 0
	}
}

// procField reads a number from /proc/PID/status, in the file's own unit.
func (w *workerProcess) procField(name string) int {
	w.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.cmd.Process.Pid))
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			return n
		}
	}
	w.t.Fatalf("no %s in the process's status", name)
	return 0
}

// descriptors is how many descriptors the process has open.
func (w *workerProcess) descriptors() int {
	w.t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", w.cmd.Process.Pid))
	if err != nil {
		w.t.Fatal(err)
	}
	return len(entries)
}

// cpu is the processor time used so far.
func (w *workerProcess) cpu() time.Duration {
	w.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.cmd.Process.Pid))
	if err != nil {
		w.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// submitter is a minimal Gearman client, so that these tests don't depend on the code under test.
type submitter struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
}

func newSubmitter(t *testing.T, addr string) *submitter {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &submitter{t, c, bufio.NewReader(c)}
}

const (
	submitJob   = 7
	jobCreated  = 8
	workStatus  = 12
	complete    = 13
	fail        = 14
	submitJobBG = 18
	exception   = 25
	optionReq   = 26
	optionRes   = 27
	workData    = 28
	warning     = 29
)

func (s *submitter) send(kind uint32, args ...string) {
	s.t.Helper()
	data := strings.Join(args, "\x00")
	p := binary.BigEndian.AppendUint32([]byte("\x00REQ"), kind)
	p = binary.BigEndian.AppendUint32(p, uint32(len(data)))
	if _, err := s.c.Write(append(p, data...)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *submitter) receive() (uint32, string, error) {
	_ = s.c.SetReadDeadline(time.Now().Add(waitLimit))
	var head [12]byte
	if _, err := io.ReadFull(s.r, head[:]); err != nil {
		return 0, "", err
	}
	data := make([]byte, binary.BigEndian.Uint32(head[8:]))
	_, err := io.ReadFull(s.r, data)
	return binary.BigEndian.Uint32(head[4:]), string(data), err
}

// background submits a job and does not wait for it.
func (s *submitter) background(function, workload string) {
	s.t.Helper()
	s.send(submitJobBG, function, "", workload)
	if kind, data, err := s.receive(); err != nil || kind != jobCreated {
		s.t.Fatalf("submit: packet %d %q, %v", kind, data, err)
	}
}

// answer is everything that a client receives about a job.
type answer struct {
	End      uint32 // complete, fail or exception
	Result   string
	Progress []string
}

var errGone = errors.New("the job server went away")

// do submits a job and waits for its end.
func (s *submitter) do(function, workload string) (answer, error) {
	s.t.Helper()
	s.send(submitJob, function, "", workload)
	return s.wait()
}

func (s *submitter) wait() (a answer, err error) {
	for {
		kind, data, err := s.receive()
		if err != nil {
			return a, fmt.Errorf("%w: %w", errGone, err)
		}
		_, rest, _ := strings.Cut(data, "\x00")
		switch kind {
		case complete, fail, exception:
			a.End, a.Result = kind, rest
			return a, nil
		case workStatus:
			a.Progress = append(a.Progress, "status "+strings.ReplaceAll(rest, "\x00", "/"))
		case workData:
			a.Progress = append(a.Progress, "data "+rest)
		case warning:
			a.Progress = append(a.Progress, "warning "+rest)
		}
	}
}

// exceptions asks for the text of failures.
func (s *submitter) exceptions() *submitter {
	s.t.Helper()
	s.send(optionReq, "exceptions")
	if kind, _, err := s.receive(); kind != optionRes || err != nil {
		s.t.Fatalf("packet %d, %v", kind, err)
	}
	return s
}

// runs is a file to which each run of a job appends a line.
type runs struct{ path string }

func newRuns(t *testing.T) runs { return runs{filepath.Join(t.TempDir(), "runs")} }

func (r runs) list() []string {
	b, _ := os.ReadFile(r.path)
	return strings.Fields(string(b))
}

// queued reads TOTAL and RUNNING of a function.
func queued(t *testing.T, addr, function string) (total, running int) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "status\n")
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == ".\n" {
			return total, running
		}
		if f := strings.Split(strings.TrimSpace(line), "\t"); f[0] == function {
			total, _ = strconv.Atoi(f[1])
			running, _ = strconv.Atoi(f[2])
		}
	}
}

// registrations reads WORKERS of a function.
func registrations(t *testing.T, addr, function string) (n int) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "status\n")
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == ".\n" {
			return n
		}
		if f := strings.Split(strings.TrimSpace(line), "\t"); f[0] == function {
			n, _ = strconv.Atoi(f[3])
		}
	}
}

// clientIDs are the ids of a job server's connections.
func clientIDs(t *testing.T, addr string) (ids []string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "workers\n")
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == ".\n" {
			return ids
		}
		ids = append(ids, strings.Fields(line)[2])
	}
}
