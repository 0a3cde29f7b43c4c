package local

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/internal/localworker"
	"github.com/gearman-operator/gearman-operator/internal/page"
)

// TestMain lets the test binary be the worker process.
func TestMain(m *testing.M) {
	if os.Getenv("GEARMANCTL_TEST_WORKER") == "1" {
		os.Exit(localworker.Main(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
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

const manifest = `apiVersion: gearman.dev/v1alpha1
kind: GearmanWorkerPool
metadata: {name: %s}
spec:
  servers: [%q]
  function: f
%s`

// fixture is a fleet of one file, with a job server.
type fixture struct {
	t      *testing.T
	server *gearmantest.Server
	dir    string
	file   string
	log    *logBuffer
	fleet  *Fleet
	reload chan struct{}
	now    chan struct{}
	stop   context.CancelFunc
	done   chan error
}

func newFixture(t *testing.T, spec string) *fixture {
	t.Helper()
	// A port of its own: the server may stop and start again.
	addr, err := jobserver.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{
		t: t, server: gearmantest.NewServer(gearmantest.Options{Addr: addr}), dir: t.TempDir(), log: &logBuffer{},
		reload: make(chan struct{}, 1), now: make(chan struct{}, 1),
	}
	t.Cleanup(f.server.Close)
	f.file = filepath.Join(f.dir, "pool.yaml")
	f.write(spec)
	return f
}

func (f *fixture) write(spec string) {
	f.t.Helper()
	if err := os.WriteFile(f.file, fmt.Appendf(nil, manifest, "p", f.server.Addr(), spec), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) options() Options {
	return Options{
		Files: []string{f.file}, StateDir: filepath.Join(f.dir, "state"), Program: os.Args[0],
		ProgramEnv: []string{"GEARMANCTL_TEST_WORKER=1"},
		Log:        slog.New(slog.NewTextHandler(f.log, nil)), Output: f.log, ReloadEvery: 50 * time.Millisecond,
	}
}

func (f *fixture) start() {
	f.t.Helper()
	var err error
	if f.fleet, err = New(f.options()); err != nil {
		f.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	f.stop, f.done = stop, make(chan error, 1)
	go func() { f.done <- f.fleet.Run(ctx, f.reload, f.now) }()
	f.t.Cleanup(func() {
		if f.done == nil {
			return
		}
		stop()
		f.now <- struct{}{}
		if err := <-f.done; err != nil {
			f.t.Error(err)
		}
	})
}

// end stops the fleet and waits for it.
func (f *fixture) end() {
	f.t.Helper()
	f.stop()
	if err := <-f.done; err != nil {
		f.t.Error(err)
	}
	f.done = nil
	if left, _ := filepath.Glob(filepath.Join(f.dir, "state", "*")); len(left) > 0 {
		f.t.Errorf("state files are left: %v", left)
	}
}

func (f *fixture) pool() page.Pool {
	s, err := f.fleet.Snapshot(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	if len(s.Pools) == 0 {
		return page.Pool{}
	}
	return s.Pools[0]
}

// await waits until the pool is in the wanted state.
func (f *fixture) await(what string, ok func(page.Pool) bool) page.Pool {
	f.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		p := f.pool()
		if ok(p) {
			return p
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("not within a minute: %s; the pool is %+v; log:\n%s", what, p, f.log)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (f *fixture) awaitLog(want string) {
	f.t.Helper()
	f.await("a log line with "+want, func(page.Pool) bool { return strings.Contains(f.log.String(), want) })
}

func (f *fixture) client() *client.Client {
	f.t.Helper()
	c, err := client.New(client.Options{Servers: []string{f.server.Addr()}})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = c.Close() })
	return c
}

func ready(n int32) func(page.Pool) bool {
	return func(p page.Pool) bool { return p.Ready == n && len(p.Workers) == int(n) }
}

const catter = "  runtime: {exec: {command: [cat]}}\n"

// A job for a pool without workers starts one, which runs it; the end of the fleet is the end of
// all workers.
func TestFromZero(t *testing.T) {
	t.Parallel()
	f := newFixture(t, catter+"  image: i\n")
	f.start()
	f.awaitLog("fields=image")
	data, err := f.client().Do(t.Context(), &client.Task{Function: "f", Payload: []byte("hello")})
	if err != nil || string(data) != "hello" {
		t.Fatalf("%q, %v; log:\n%s", data, err, f.log)
	}
	p := f.await("a ready worker", func(p page.Pool) bool { return p.Ready == 1 })
	if p.Replicas != 1 || len(p.Workers) != 1 || p.Terms["slots"] > 1 {
		t.Errorf("pool = %+v", p)
	}
	f.awaitLog("reason=FromZero")
	f.end()
}

// Bounds are applied at once, in both directions, and a stopped worker finishes its running job.
func TestBounds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	body := "  runtime: {exec: {command: [sh, -c, 'touch " + dir + "/started; while ! test -e " + dir +
		"/go; do sleep 0.02; done; echo done']}}\n"
	f := newFixture(t, body+"  minReplicas: 3\n")
	f.start()
	f.await("three workers", ready(3))
	result := make(chan string, 1)
	go func() {
		data, err := f.client().Do(context.Background(), &client.Task{Function: "f"})
		result <- fmt.Sprint(string(data), err)
	}()
	f.await("a running job", func(page.Pool) bool {
		_, err := os.Stat(filepath.Join(dir, "started"))
		return err == nil
	})
	f.write(body + "  maxReplicas: 0\n")
	f.await(
		"one draining worker",
		func(p page.Pool) bool { return len(p.Workers) == 1 && p.Workers[0].State == "draining" },
	)
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := <-result; got != "done\n<nil>" {
		t.Errorf("the job ended with %q", got)
	}
	f.await("no worker", ready(0))
	f.end()
}

// Invalid files change nothing; valid ones replace the workers.
func TestReload(t *testing.T) {
	t.Parallel()
	f := newFixture(t, catter+"  minReplicas: 2\n")
	f.start()
	before := f.await("two workers", ready(2))
	f.write(catter + "  minReplicas: many\n")
	f.awaitLog("the pools stay as they are")
	f.reload <- struct{}{} // on request, it is tried again
	f.await(
		"a second complaint",
		func(page.Pool) bool { return strings.Count(f.log.String(), "the pools stay as they are") >= 2 },
	)
	if p := f.pool(); p.Ready != 2 || p.Workers[0].Name != before.Workers[0].Name {
		t.Errorf("the pool is %+v, want it as it was", p)
	}
	f.write("  runtime: {exec: {command: [rev]}}\n  minReplicas: 2\n")
	f.await("two new workers", func(p page.Pool) bool {
		for _, w := range p.Workers {
			if w.Name == before.Workers[0].Name || w.Name == before.Workers[1].Name {
				return false
			}
		}
		return ready(2)(p)
	})
	if data, err := f.client().Do(
		t.Context(), &client.Task{Function: "f", Payload: []byte("abc\n")},
	); err != nil || string(data) != "cba\n" {
		t.Errorf("the new workers answer %q, %v", data, err)
	}
	// A pool that is no longer in the file ends.
	if err := os.WriteFile(f.file, fmt.Appendf(nil, manifest, "other", f.server.Addr(), catter), 0o600); err != nil {
		t.Fatal(err)
	}
	f.await("the other pool alone", func(p page.Pool) bool { return p.Name == "other" })
	f.end()
}

// A program that can't work is started less and less often, and by few workers.
func TestCrash(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "  command: [sh, -c, 'exit 9']\n  minReplicas: 1\n")
	f.start()
	// Not exactly two: the third may happen before the test has looked.
	crashes := regexp.MustCompile(`\((\d+) times in a row, last: exit status 9\)`)
	f.await("a problem that names two crashes or more, and the exit code", func(p page.Pool) bool {
		found := crashes.FindStringSubmatch(strings.Join(p.Problems, " "))
		return found != nil && found[1] != "1"
	})
	f.write("  command: [sh, -c, 'while :; do sleep 0.1; done']\n  minReplicas: 1\n  drainSeconds: 1\n")
	f.await("a worker of the fixed pool", ready(1))
	f.end()
}

// While no job server answers, only the bounds are applied, and the page shows it.
func TestServerDown(t *testing.T) {
	t.Parallel()
	f := newFixture(t, catter+"  scaling: {pollSeconds: 1}\n  minReplicas: 1\n")
	f.start()
	f.await("a worker", ready(1))
	f.server.Refuse()
	f.server.CloseConnections()
	f.await("a problem", func(p page.Pool) bool {
		return len(p.Problems) > 0 && strings.Contains(p.Problems[0], "does not answer")
	})
	if err := f.server.Accept(); err != nil {
		t.Fatal(err)
	}
	f.await("no problem", func(p page.Pool) bool { return len(p.Problems) == 0 && p.Ready == 1 })
	if _, err := f.client().Do(t.Context(), &client.Task{Function: "f"}); err != nil {
		t.Error(err)
	}
}

// The second request to stop makes the workers requeue their jobs.
func TestRequeue(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "  runtime: {exec: {command: [sh, -c, 'echo started >&2; sleep 600']}}\n  minReplicas: 1\n")
	f.start()
	if _, err := f.client().Background(t.Context(), &client.Task{Function: "f"}); err != nil {
		t.Fatal(err)
	}
	f.awaitLog("started")
	f.stop()
	f.awaitLog("Draining")
	f.now <- struct{}{}
	f.end()
	conn, err := admin.Dial(t.Context(), f.server.Addr(), admin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	functions, err := conn.Status(t.Context())
	if err != nil || len(functions) != 1 || functions[0].Total != 1 || functions[0].Running != 0 {
		t.Errorf("the job server has %+v, %v; want the job in its queue", functions, err)
	}
}

func TestOneOwner(t *testing.T) {
	t.Parallel()
	f := newFixture(t, catter)
	f.start()
	if _, err := New(f.options()); err == nil ||
		!strings.Contains(err.Error(), fmt.Sprintf("already run by process %d", os.Getpid())) {
		t.Errorf("error = %v, want one that names the owner", err)
	}
	f.end()
	again, err := New(f.options())
	if err != nil {
		t.Fatal(err)
	}
	again.release()
}

// Workers of a fleet that died are counted until they end, and their files are removed then.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, catter)
	o := f.options()
	if err := os.MkdirAll(o.StateDir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(o.StateDir, "default_p.abcdefgh.worker")
	lock, err := localworker.Lock(
		path, localworker.State{PID: os.Getpid(), UID: "abcdefgh", Name: "p-abcde", Started: time.Now()},
	)
	if err != nil {
		t.Fatal(err)
	}
	dead := filepath.Join(o.StateDir, "default_p.deadbeef.worker")
	if err := os.WriteFile(dead, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.start()
	p := f.await("the leftover", func(p page.Pool) bool { return len(p.Workers) == 1 })
	if w := p.Workers[0]; w.Name != "p-abcde" || w.State != "draining" {
		t.Errorf("worker = %+v", w)
	}
	_ = lock.Close()
	f.await("its end", ready(0))
	f.end()
}

func TestLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := &lines{out: &out}
	a, b := l.from("a"), l.from("b")
	_, _ = io.WriteString(a, "one\ntw")
	_, _ = io.WriteString(b, "three\n")
	_, _ = io.WriteString(a, "o\n\nrest")
	a.flush()
	_, _ = io.WriteString(b, strings.Repeat("x", maxLine+1))
	if got := out.String(); !strings.HasPrefix(got, "[a] one\n[b] three\n[a] two\n[a] rest\n[b] xxx") {
		t.Errorf("got %.100q", got)
	}
}
