package local

import (
	"bufio"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/outcome"
	"github.com/gearman-operator/gearman-operator/internal/page"
	"github.com/gearman-operator/gearman-operator/internal/poolfile"
)

func planOf(t *testing.T, secretsDir, spec string) (plan, error) {
	t.Helper()
	text := strings.Replace(strings.Replace(manifest, "%s", "p", 1), "%q", "h", 1)
	content, err := poolfile.Parse([]byte(strings.Replace(text, "%s", spec, 1)), poolfile.Options{NoImage: true})
	if err != nil {
		t.Fatal(err)
	}
	f := &Fleet{o: Options{SecretsDir: secretsDir}, log: slog.New(slog.DiscardHandler)}
	return f.planFor(&content.Pools[0])
}

func TestPlan(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"db/password": "s3cret", "db/user": "u", "settings/LEVEL": "9"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := planOf(t, dir, `  runtime: {exec: {command: [run, $(HOST), $$(HOST), $(NOBODY)]}}
  image: i
  podTemplate: {spec: {}}
  resources: {limits: {memory: 64Mi, cpu: 1}}
  envFrom: [{prefix: S_, configMapRef: {name: settings}}, {secretRef: {name: nobody, optional: true}}]
  env:
  - {name: HOST, value: h}
  - {name: URL, value: "db://$(PASSWORD)@$(HOST)"}
  - {name: PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}
  - {name: BOTH, value: "$(HOST)-$(PASSWORD)"}
  - {name: SPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
  - {name: MAYBE, valueFrom: {configMapKeyRef: {name: settings, key: nobody, optional: true}}}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"S_LEVEL=9", "HOST=h", "URL=db://$(PASSWORD)@h", "PASSWORD=s3cret", "BOTH=h-s3cret", "SPACE=default",
	}
	if diff := cmp.Diff(want, p.env); diff != "" {
		t.Errorf("env (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(
		[]string{"run", "h", "$(HOST)", "$(NOBODY)"}, p.args[slices.Index(p.args, "--")+1:],
	); diff != "" {
		t.Errorf("command (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(
		[]string{"image", "podTemplate", "resources, except for limits.memory"}, p.skipped,
	); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"--memory=67108864"}, p.flags); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
	other, err := planOf(t, dir, "  runtime: {exec: {command: [other]}}\n")
	if err != nil || other.hash == p.hash {
		t.Errorf("two plans, one hash (%v)", err)
	}
}

func TestPlanRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, tt := range map[string]struct{ dir, spec, want string }{
		"an image alone": {"", "  image: i\n", "runtime.exec.command"},
		"a target":       {"", "  targetRef: {kind: Deployment, name: d}\n", "leave this pool out"},
		"a Secret, no dir": {
			"", "  command: [x]\n  env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}]\n", "--secrets-dir",
		},
		"a Secret, no file": {
			dir, "  command: [x]\n  env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}]\n", "no such file",
		},
		"a Secret elsewhere": {
			dir, "  command: [x]\n  env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: ../../k}}}]\n",
			"can't be a file's name",
		},
		"envFrom, no dir": {"", "  command: [x]\n  envFrom: [{secretRef: {name: s}}]\n", "--secrets-dir"},
		"a field of a pod": {
			"", "  command: [x]\n  env: [{name: A, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]\n",
			"doesn't exist outside a cluster",
		},
		"TLS without Secrets": {"", "  command: [x]\n  tls: {caSecret: {name: ca}}\n", "--secrets-dir"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := planOf(t, tt.dir, tt.spec); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	open := t.TempDir()
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty.yaml")
	if err := os.WriteFile(empty, []byte("apiVersion: v1\nkind: Service\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, catter)
	for name, tt := range map[string]struct {
		o    Options
		want string
	}{
		"no state directory":      {Options{}, "--state-dir"},
		"one for everybody":       {Options{StateDir: open}, "writable by other users"},
		"a file that isn't there": {Options{StateDir: t.TempDir(), Files: []string{"nowhere.yaml"}}, "nowhere.yaml"},
		"no pool":                 {Options{StateDir: t.TempDir(), Files: []string{empty}}, "no GearmanWorkerPool"},
		"a pool twice": {
			Options{StateDir: t.TempDir(), Files: []string{f.file, f.file}}, "give one of them another name",
		},
		"an unknown user": {
			Options{StateDir: t.TempDir(), Files: []string{f.file}, User: "nobody-of-that-name"}, "--user",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.o.Log, tt.o.Output = slog.New(slog.DiscardHandler), io.Discard
			if _, err := New(tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
}

// Dashboards and alerts for a cluster work for a machine: each metric of pools, job servers and
// functions that docs/metrics.md lists is served here under that name, unless the page says that
// only a cluster has it, and no other is.
func TestMetricNames(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(gearman_(?:pool|server|function|series)_[a-z_]+)` \\|.*$").FindAllSubmatch(docs, -1) {
		listed[string(m[1])] = !strings.Contains(string(m[0]), "Only in a cluster")
	}
	maps.DeleteFunc(listed, func(_ string, here bool) bool { return !here })
	out := serveMetrics(
		t, page.Pool{Namespace: "n", Name: "p", Reason: "Steady", Queued: 3}, page.Pool{Name: "undecided"},
	)
	served := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE ([a-z_]+) (?:gauge|counter)$`).FindAllStringSubmatch(out, -1) {
		served[m[1]] = true
	}
	if diff := cmp.Diff(listed, served); diff != "" || len(served) < 25 {
		t.Errorf("%d metrics; those of docs/metrics.md (-), those that are served (+):\n%s", len(served), diff)
	}
	if strings.Contains(out, "undecided") {
		t.Error("a pool without a decision has metrics")
	}
}

func serveMetrics(t *testing.T, pools ...page.Pool) string {
	t.Helper()
	f := &Fleet{watcher: backlog.New(backlog.Options{Logger: slog.New(slog.DiscardHandler)})}
	f.snapshot.Store(&page.Snapshot{Pools: pools})
	w := httptest.NewRecorder()
	f.Metrics().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

// Prometheus can parse the text, whatever a job server calls its functions.
func TestMetricsText(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	out := &exposition{out: bufio.NewWriter(&b)}
	writePools(
		out,
		[]page.Pool{
			{
				Namespace: "n", Name: "p", Reason: "Steady", Queued: 3, Mode: "Auto", Runtime: "exec",
				Results: []outcome.FunctionCounts{{Function: "f", Counts: outcome.Counts{Completed: 5, Failed: 1}}},
			},
		},
	)
	now := time.Now()
	writeServers(out,
		[]backlog.ServerStats{
			{
				Address: "10.0.0.1:4730", Names: []backlog.ServerName{{Namespace: "n", Name: "jobs:4730"}}, State: "OK",
				Up: true, Polls: 7, LastGood: now.Add(-2 * time.Second),
			},
		},
		[]backlog.FunctionStats{
			{Name: "a\"b\\c\nd\x00é", Server: "10.0.0.1:4730", Queued: 2, Running: 1, Workers: 4, Pools: 1},
			{Name: "\xff", Server: "10.0.0.1:4730"},
		}, now)
	if err := out.out.Flush(); err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	parsed, err := parser.TextToMetricFamilies(strings.NewReader(b.String()))
	if err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	if got := parsed["gearman_function_jobs"].GetMetric()[0].GetLabel()[0].GetValue(); got != "a\"b\\c\nd\x00é" {
		t.Errorf("the function's name is read as %q", got)
	}
	for _, want := range []string{
		`gearman_pool_queued_jobs{namespace="n",pool="p"} 3`, `gearman_pool_decision{namespace="n",pool="p",reason="Steady"} 1`,
		`gearman_pool_jobs_total{namespace="n",pool="p",function="f",result="failed"} 1`,
		`gearman_pool_info{namespace="n",pool="p",mode="Auto",runtime="exec",workload="Process"} 1`,
		`gearman_server_info{server="10.0.0.1:4730",namespace="n",name="jobs:4730"} 1`, `gearman_server_up{server="10.0.0.1:4730"} 1`,
		`gearman_server_polls_total{server="10.0.0.1:4730",result="answered"} 7`, `gearman_server_answer_age_seconds{server="10.0.0.1:4730"} 2`,
		`gearman_function_jobs{function="\"\\xff\"",server="10.0.0.1:4730",state="queued"} 0`,
	} {
		if !strings.Contains(b.String(), want+"\n") {
			t.Errorf("%s is not in\n%s", want, b.String())
		}
	}
}
