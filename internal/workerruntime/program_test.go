package workerruntime_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/test/kit"
)

// TestRunFile: one worker runs several functions, each with its own handler.
func TestRunFile(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	config := filepath.Join(t.TempDir(), "worker.yaml")
	if err := os.WriteFile(config, []byte(`
server: `+server.Addr+`
concurrency: 2
handlers:
- function: [upper, shout]
  exec: [tr, a-z, A-Z]
- function: reverse
  stream: [perl, ../../examples/perl/reverse.pl]
- function: never
  exec: [sleep, 1000]
  job-timeout: 100ms
`), 0o644); err != nil {
		t.Fatal(err)
	}
	w := startWorker(t, nil, "run", "--config", config).waitReady()
	got := map[string]answer{}
	for _, f := range []string{"upper", "shout", "reverse", "never"} {
		a, err := newSubmitter(t, server.Addr).do(f, "hello")
		if err != nil {
			t.Fatal(err)
		}
		got[f] = a
	}
	want := map[string]answer{
		"upper": {End: complete, Result: "HELLO"}, "shout": {End: complete, Result: "HELLO"},
		"reverse": {End: complete, Result: "olleh", Progress: []string{"status 1/2"}}, "never": {End: fail},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	w.waitBusy(0) // a job is counted just after the client has its answer
	checkMetrics(t, w)
}

// checkMetrics reads the metrics with Prometheus' own parser.
func checkMetrics(t *testing.T, w *workerProcess) {
	t.Helper()
	_, text := w.get("/metrics")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	jobs := map[string]float64{}
	for _, m := range families["gearman_worker_jobs_total"].GetMetric() {
		var key strings.Builder
		for _, l := range m.GetLabel() {
			key.WriteString(l.GetValue() + " ")
		}
		jobs[key.String()] = m.GetCounter().GetValue()
	}
	want := map[string]float64{
		"upper completed ok ": 1, "shout completed ok ": 1, "reverse completed ok ": 1, "never completed ok ": 0,
		"never failed timeout ": 1,
	}
	if diff := cmp.Diff(want, jobs); diff != "" {
		t.Errorf("gearman_worker_jobs_total (-want +got):\n%s", diff)
	}
	for _, m := range families["gearman_worker_job_duration_seconds"].GetMetric() {
		if h := m.GetHistogram(); h.GetSampleCount() != 1 || h.GetSampleSum() <= 0 || len(h.GetBucket()) < 10 {
			t.Errorf("histogram %v", m)
		}
	}
	for name, want := range map[string]float64{
		"gearman_worker_busy": 0, "gearman_worker_connected_servers": 1, "gearman_worker_ready": 1,
		"gearman_worker_concurrency": 2,
	} {
		ms := families[name].GetMetric()
		if len(ms) == 0 || ms[0].GetGauge().GetValue() != want {
			t.Errorf("%s is %v, want %v", name, ms, want)
		}
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	for name, tc := range map[string]struct {
		args string
		code int
		say  string
	}{
		"help":               {"help", 0, "gearman-worker turns any program into a Gearman worker."},
		"help of a mode":     {"exec --help", 0, "--job-timeout DURATION"},
		"version":            {"version", 0, "gearman-worker "},
		"no such command":    {"work", 2, `there is no command "work"`},
		"wrong options":      {"exec --function f", 2, "exec needs a command after its options"},
		"a missing command":  {"exec --function f -- no-such-command-at-all", 1, "can't be run"},
		"a wrong URL":        {"http --function f -- nonsense", 1, "no scheme"},
		"a stream that ends": {"stream --function f -- true", 1, "the command does not come up"},
		"a wrong pod uid":    {"exec --function f --pod-uid !! -- true", 1, "GEARMAN_WORKER_POD_UID"},
		"a wrong port":       {"exec --function f --listen 127.0.0.1:99999 -- true", 1, "--listen"},
		"a missing CA":       {"exec --function f --tls-ca /no/such -- true", 1, "--tls-ca"},
		"a good check": {
			"exec --check --function f --server " + server.Addr + " -- true", 0,
			"ok      job server " + server.Addr + ": version 1.",
		},
		"a bad check": {
			"exec --check --function f --server 127.0.0.1:1 -- true", 1, "FAILED  job server 127.0.0.1:1: ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := startWorker(t, nil, strings.Fields(tc.args)...)
			if code := w.exit(); code != tc.code || !strings.Contains(w.log.String(), tc.say) {
				t.Errorf("exit code %d, want %d and %q in:\n%s", code, tc.code, tc.say, w.log.String())
			}
		})
	}
}

// TestCheckShowsSources: --check reports where each value comes from, and starts nothing.
func TestCheckShowsSources(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "worker.yaml")
	if err := os.WriteFile(
		config, []byte("server: ["+server.Addr+"]\nconcurrency: 7\njob-timeout: 1m\n"), 0o644,
	); err != nil {
		t.Fatal(err)
	}
	w := startWorker(
		t, []string{"GEARMAN_WORKER_CONCURRENCY=3"}, "exec", "--check", "--config", config, "--function", "f", "--",
		"touch", dir+"/started",
	)
	if code := w.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	got := map[string]string{}
	for line := range strings.Lines(w.log.String()) {
		if f := strings.Fields(line); len(f) > 1 {
			got[f[0]] = strings.Join(f[1:], " ")
		}
	}
	for name, want := range map[string]string{
		"function": "f (flag)", "concurrency": "3 (environment)", "job-timeout": "1m (file " + config + ")",
		"on-crash": "requeue (default)",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if _, err := os.Stat(dir + "/started"); err == nil {
		t.Error("the command was started")
	}
	if total, _ := queued(t, server.Addr, "f"); total != 0 {
		t.Error("the function was registered")
	}
	if t.Failed() {
		t.Log(w.log.String())
	}
}

// TestNoSpoolDirectory: a worker without any writable directory still runs jobs.
func TestNoSpoolDirectory(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	w := startWorker(
		t, nil, "exec", "--server", server.Addr, "--function", "f", "--spool-dir", "/no/such/dir", "--", "cat",
	).waitReady()
	large := strings.Repeat("x", 3<<20)
	if a, err := newSubmitter(t, server.Addr).do("f", large); err != nil || a.Result != large {
		t.Errorf("packet %d with %d bytes, %v", a.End, len(a.Result), err)
	}
	kit.Eventually(t, "the log says so", func() bool { return strings.Contains(w.log.String(), "kept in memory") })
}
