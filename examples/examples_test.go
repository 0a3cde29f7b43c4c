// Package examples has no code: its test runs each example as the worker runs it.
package examples

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/httpmode"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/logs"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/process"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/spool"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/streammode"
)

// requireAll makes a missing language fail the tests instead of skipping one.
const requireAll = "GEARMAN_TEST_ALL_LANGUAGES"

func need(t *testing.T, program, pkg string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	msg := fmt.Sprintf("%s is not installed: apt-get install %s", program, pkg)
	if os.Getenv(requireAll) != "" {
		t.Fatal(msg)
	}
	t.Skip(msg)
}

type recorder struct {
	mu  sync.Mutex
	got []string
}

func (r *recorder) add(format string, args ...any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, fmt.Sprintf(format, args...))
	return nil
}
func (r *recorder) Status(n, d uint64) error { return r.add("status %d/%d", n, d) }
func (r *recorder) Data(p []byte) error      { return r.add("data %s", p) }
func (r *recorder) Warning(p []byte) error   { return r.add("warning %s", p) }

// run keeps a handler running for the test.
func run(t *testing.T, h interface {
	job.Runner
	Up() <-chan struct{}
},
) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-h.Up():
	case err := <-done:
		done <- nil
		t.Fatal(err)
	}
}

type logWriter struct{ t *testing.T }

func (w logWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimSpace(p))
	return len(p), nil
}

func stream(t *testing.T, command ...string) *streammode.Pool {
	t.Helper()
	p, err := streammode.New(streammode.Options{
		Command: command, Size: 1, Result: spool.Limits{Dir: t.TempDir(), Above: 1 << 20, Max: 1 << 24},
		KillAfter: 30 * time.Second,
		PingEvery: 10 * time.Millisecond, // each of them answers pings all the time
		Log:       slog.New(slog.NewTextHandler(logWriter{t}, nil)), LogLimit: logs.NewLimit(0, 0, time.Now),
		Table: process.NewTable(),
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, p)
	return p
}

// checkReverse holds an example to what all of them do.
func checkReverse(t *testing.T, h job.Handler) {
	t.Helper()
	large := make([]byte, 300<<10)
	for i := range large {
		large[i] = byte(i * i >> 3) // all bytes, line ends and zeros too
	}
	reversed := slices.Clone(large)
	slices.Reverse(reversed)
	for _, tc := range []struct {
		name, workload string
		want           job.Outcome
		progress       []string
	}{
		{"text", "hello\n", job.Done([]byte("\nolleh")), []string{"status 1/2"}},
		{"bytes", string(large), job.Done(reversed), []string{"status 1/2"}},
		{"nothing", "", job.Failf(job.Rejected, "nothing to reverse"), nil},
		{"again", "ab", job.Done([]byte("ba")), []string{"status 1/2"}},
	} {
		var rec recorder
		got := h.Handle(t.Context(), &job.Job{Function: "reverse", Handle: "H:x:1", Unique: `u"1`, Body: []byte(tc.workload), Size: int64(len(tc.workload)), Reporter: &rec})
		if i := strings.LastIndex(got.Message, ": "); i >= 0 {
			got.Message = got.Message[i+2:] // HTTP's status stands before it
		}
		got.ResultSize = 0
		got.Permanent = false // only HTTP has a status that says so
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: outcome (-want +got):\n%.2000s", tc.name, diff)
		}
		if diff := cmp.Diff(tc.progress, rec.got); diff != "" {
			t.Errorf("%s: progress (-want +got):\n%s", tc.name, diff)
		}
		time.Sleep(30 * time.Millisecond) // a few pings
	}
}

func TestStream(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		pkg     string
		command []string
	}{
		"php":    {"php-cli", []string{"php", "php/reverse.php"}},
		"python": {"python3", []string{"python3", "python/reverse.py"}},
		"node":   {"nodejs", []string{"node", "node/reverse.js"}},
		"ruby":   {"ruby", []string{"ruby", "ruby/reverse.rb"}},
		"perl":   {"perl", []string{"perl", "perl/reverse.pl"}},
		"shell":  {"dash", []string{"sh", "shell/reverse.sh"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			need(t, tc.command[0], tc.pkg)
			checkReverse(t, stream(t, tc.command...))
		})
	}
}

// The loader runs job classes as Net_Gearman's worker would.
func TestNetGearman(t *testing.T) { // one process, one case after the other
	need(t, "php", "php-cli")
	p := stream(
		t, "php", "php/netgearman/loader.php", "--path", "php/netgearman/jobs", "--init", "php/netgearman/init.php",
	)
	for name, tc := range map[string]struct {
		function, workload string
		want               job.Outcome
		progress           []string
	}{
		"an array":            {"Sum", "[1,2,3.5]", job.Done([]byte(`{"result":6.5}`)), []string{"status 1/3", "status 2/3", "status 3/3"}},
		"no argument":         {"Sum", "", job.Done([]byte(`{"result":0}`)), nil},
		"a job exception":     {"Sum", "3", job.Failf(job.Rejected, "send a list of numbers"), nil},
		"init and complete()": {"Greet", `"you"`, job.Done([]byte(`{"text":"Hello you"}`)), nil},
		"an argument not in JSON": {"Greet", "you\xff?", job.Outcome{
			Kind: job.Failed, Reason: job.Crashed, Crashed: true,
			Message: "the handler ended before its answer was complete (exit code 255)",
		}, nil}, // json_encode can't write it
		"a raw argument":      {"Greet", "you", job.Done([]byte(`{"text":"Hello you"}`)), nil},
		"fail()":              {"Greet", "nobody", job.Failf(job.Rejected, "the job called fail()"), nil},
		"path and class_name": {"greet.de", "dir", job.Done([]byte(`{"text":"Hallo dir"}`)), nil},
		"another exception ends the process": {"Greet", "bug", job.Outcome{
			Kind: job.Failed, Reason: job.Crashed, Crashed: true,
			Message: "the handler ended before its answer was complete (exit code 255)",
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var rec recorder
			got := p.Handle(
				t.Context(),
				&job.Job{
					Function: tc.function, Handle: "H:x:1", Body: []byte(tc.workload), Size: int64(len(tc.workload)),
					Reporter: &rec,
				},
			)
			got.ResultSize = 0
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.progress, rec.got); diff != "" {
				t.Errorf("progress (-want +got):\n%s", diff)
			}
		})
	}
}

// A prefix of one's own, files that something else loads, and the constants that Net_Gearman's
// users define.
func TestNetGearmanOptions(t *testing.T) {
	t.Parallel()
	need(t, "php", "php-cli")
	dir := t.TempDir()
	for name, content := range map[string]string{
		"boot.php": "<?php define('NET_GEARMAN_JOB_PATH', __DIR__ . '/jobs');\n" +
			"spl_autoload_register(function ($class) { if ($class === 'My_Loaded') { require __DIR__ . '/elsewhere.php'; } });\n",
		"elsewhere.php":   "<?php class My_Loaded extends Net_Gearman_Job_Common { public function run($arg) { return 'loaded ' . $arg; } }\n",
		"jobs/Found.php":  "<?php class My_Found extends Net_Gearman_Job_Common { public function run($arg) { return ['found' => $arg]; } }\n",
		"jobs/Thrown.php": "<?php class My_Thrown extends Net_Gearman_Job_Common { public function run($arg) { throw new Net_Gearman_Job_Exception('thrown'); } }\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p := stream(t, "php", "php/netgearman/loader.php", "--prefix", "My_", "--bootstrap", dir+"/boot.php")
	for function, want := range map[string]job.Outcome{
		"Loaded": job.Done([]byte(`{"result":"loaded x"}`)),
		"Found":  job.Done([]byte(`{"found":"x"}`)),
		"Thrown": job.Failf(job.Rejected, "thrown"),
	} {
		got := p.Handle(t.Context(), &job.Job{Function: function, Handle: "H:x:1", Body: []byte(`"x"`), Size: 3, Reporter: &recorder{}})
		got.ResultSize = 0
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", function, diff)
		}
	}
}

func TestNetGearmanMissingClass(t *testing.T) {
	t.Parallel()
	need(t, "php", "php-cli")
	var log bytes.Buffer
	p, err := streammode.New(streammode.Options{
		Command:   []string{"php", "php/netgearman/loader.php", "--path", "php/netgearman/jobs"},
		Functions: []string{"Sum", "Nowhere"}, Size: 1,
		KillAfter: 30 * time.Second, Log: slog.New(slog.NewTextHandler(&log, nil)),
		LogLimit: logs.NewLimit(0, 0, time.Now), Table: process.NewTable(),
		Timing: streammode.Timing{Starts: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); err == nil {
		t.Error("the pool came up")
	}
	if want := "function Nowhere: there is no file php/netgearman/jobs/Nowhere.php"; !strings.Contains(
		log.String(), want,
	) {
		t.Errorf("log has no %q:\n%s", want, log.String())
	}
}

// Each pool is one that the API knows, with names that its pods can have.
func TestPools(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	pools := 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for doc := range strings.SplitSeq(string(b), "\n---\n") {
			var kind metav1.TypeMeta
			if err := yaml.Unmarshal([]byte(doc), &kind); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			if kind.Kind != "GearmanWorkerPool" {
				continue
			}
			pools++
			var pool v1alpha1.GearmanWorkerPool
			if err := yaml.UnmarshalStrict([]byte(doc), &pool); err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			if raw := pool.Spec.PodTemplate; raw != nil {
				if err := yaml.UnmarshalStrict(raw.Raw, &corev1.PodTemplateSpec{}); err != nil {
					t.Errorf("%s: podTemplate: %v", file, err)
				}
			}
		}
	}
	if pools < 6 {
		t.Errorf("%d pools in %d files", pools, len(files))
	}
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	need(t, "python3", "python3")
	addr, err := jobserver.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(addr)
	service := exec.Command("python3", "http/service.py", port)
	service.Stdout, service.Stderr = logWriter{t}, logWriter{t}
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = service.Process.Kill()
		_ = service.Wait()
	})
	h, err := httpmode.New(httpmode.Options{
		URL: "http://127.0.0.1:" + port + "/reverse", Size: 1,
		Result: spool.Limits{Dir: t.TempDir(), Above: 1 << 20, Max: 1 << 24},
		Log:    slog.New(slog.NewTextHandler(logWriter{t}, nil)), LogLimit: logs.NewLimit(1, 1, time.Now),
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, h)
	checkReverse(t, h)
}

// GearmanManager's pecl workers, as they are.
func TestGearmanManager(t *testing.T) {
	t.Parallel()
	need(t, "php", "php-cli")
	p := stream(
		t, "php", "php/gearmanmanager/loader.php", "--path", "/no/such/dir,php/gearmanmanager/workers", "--exclude",
		"other",
	)
	for workload, want := range map[string]struct {
		function, result, message string
		kind                      job.Kind
		progress                  []string
	}{
		"hello":     {function: "reverse_string", result: "olleh", progress: []string{"status 1/2", "status 2/2"}},
		"progress":  {function: "Everything", result: "by hand", progress: []string{"data part", "warning careful"}},
		"other":     {function: "Everything", result: "42"},
		"fail":      {function: "Everything", kind: job.Failed, message: "the worker called sendFail()"},
		"exception": {function: "Everything", kind: job.Failed, message: "no such image"},
	} {
		var rec recorder
		o := p.Handle(
			t.Context(),
			&job.Job{
				Function: want.function, Handle: "H:x:1", Unique: "u", Body: []byte(workload),
				Size: int64(len(workload)), Reporter: &rec,
			},
		)
		if o.Kind != want.kind || string(o.Result) != want.result || o.Message != want.message || o.Crashed {
			t.Errorf("%s: %+v", workload, o)
		}
		if diff := cmp.Diff(want.progress, rec.got); diff != "" {
			t.Errorf("%s: progress (-want +got):\n%s", workload, diff)
		}
	}
	who := func() string {
		return string(
			p.Handle(
				t.Context(),
				&job.Job{
					Function: "Everything", Handle: "H:x:1", Unique: "u", Body: []byte("who"), Size: 3,
					Reporter: &recorder{},
				},
			).Result,
		)
	}
	if got := who(); !strings.HasPrefix(got, "Everything H:x:1 u ") {
		t.Errorf("a worker sees %q", got)
	}
	// An exception ends the process, and the next job has a new one.
	if o := p.Handle(
		t.Context(), &job.Job{Function: "Everything", Body: []byte("throw"), Size: 5, Reporter: &recorder{}},
	); !o.Crashed {
		t.Errorf("an exception: %+v", o)
	}
	if got := who(); got != "Everything H:x:1 u 1" {
		t.Errorf("after the exception a worker sees %q", got)
	}
}

// What is missing ends the start and is named.
func TestGearmanManagerStart(t *testing.T) {
	t.Parallel()
	need(t, "php", "php-cli")
	for name, tc := range map[string]struct {
		function string
		args     []string
		want     string
	}{
		"no file": {"nowhere", nil, "function nowhere: there is no nowhere.php in php/gearmanmanager/workers"},
		"excluded": {
			"reverse_string", []string{"--exclude", "x,reverse_string"}, "left out by --include or --exclude",
		},
		"not among": {"reverse_string", []string{"--include", "Everything"}, "left out by --include or --exclude"},
		"prefix": {
			"reverse_string",
			[]string{"--prefix", "my_"},
			"neither a function my_reverse_string nor a class my_reverse_string with run()",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := runLoader(
				t,
				append(
					[]string{"php", "php/gearmanmanager/loader.php", "--path", "php/gearmanmanager/workers"},
					tc.args...,
				),
				tc.function,
			)
			if err == nil || !strings.Contains(out, tc.want) {
				t.Errorf("%v, %s", err, out)
			}
		})
	}
}

// runLoader runs a loader that does not come up for a function.
func runLoader(t *testing.T, command []string, function string) (log string, err error) {
	t.Helper()
	var buf bytes.Buffer
	p, err := streammode.New(streammode.Options{
		Command: command, Functions: []string{function}, Size: 1,
		Result: spool.Limits{Dir: t.TempDir(), Above: 1 << 20, Max: 1 << 24}, KillAfter: 30 * time.Second,
		Log: slog.New(slog.NewTextHandler(&buf, nil)), LogLimit: logs.NewLimit(0, 0, time.Now),
		Table:  process.NewTable(),
		Timing: streammode.Timing{Backoff: time.Millisecond, Starts: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = p.Run(t.Context())
	return buf.String(), err
}
