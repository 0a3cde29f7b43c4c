package scale

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"k8s.io/client-go/kubernetes"

	"github.com/gearman-operator/gearman-operator/test/bench/operator"
	"github.com/gearman-operator/gearman-operator/test/controlplane"
)

// writes is how many requests that change something the API server has answered, by verb and
// resource.
type writes map[string]float64

func (b *bench) writes(t *testing.T) writes {
	t.Helper()
	out := writes{}
	for _, m := range b.apiServer(t)["apiserver_request_total"].GetMetric() {
		if what := change(labels(m)); what != "" {
			out[what] += m.GetCounter().GetValue()
		}
	}
	return out
}

// change returns what a request changes, or "" if it changes nothing. The requests of bareWrites do
// not count.
func change(l map[string]string) string {
	if l["resource"] == "configmaps" {
		return ""
	}
	switch l["verb"] {
	case "POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION":
	default:
		return ""
	}
	what := l["verb"] + " " + l["resource"]
	if l["subresource"] != "" {
		what += "/" + l["subresource"]
	}
	return what
}

// durations is how long the API server took for requests that change something, by what they
// change.
type durations map[string]histogram

func (b *bench) durations(t *testing.T) durations {
	t.Helper()
	out := durations{}
	for _, m := range b.apiServer(t)["apiserver_request_duration_seconds"].GetMetric() {
		if what := change(labels(m)); what != "" {
			out[what] = out[what].plus(m.GetHistogram())
		}
	}
	return out
}

func (d durations) since(before durations) string {
	var text strings.Builder
	text.WriteString("| request | number | median, ms | 99%, ms |\n|---|--:|--:|--:|\n")
	for _, what := range slices.Sorted(maps.Keys(d)) {
		if h := d[what].since(before[what]); h.count() > 0 {
			fmt.Fprintf(
				&text, "| %s | %.0f | %.0f | %.0f |\n", what, h.count(), h.quantile(.5)*1000, h.quantile(.99)*1000,
			)
		}
	}
	return text.String()
}

// apiServer returns the API server's own metrics.
func (b *bench) apiServer(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	typed, err := kubernetes.NewForConfig(b.plane.Config)
	if err != nil {
		t.Fatal(err)
	}
	text, err := typed.RESTClient().Get().AbsPath("/metrics").DoRaw(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	families, err := operator.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// processors is how much processor time each process of the run has used, in seconds.
type processors map[string]float64

func (b *bench) processors(t *testing.T) processors {
	t.Helper()
	return processors{
		"operator": operator.CPU(t, b.operator.PID()), "kube-apiserver": operator.CPU(t, b.plane.APIServer), "etcd": operator.CPU(t, b.plane.Etcd),
		"kube-controller-manager":                      operator.CPU(t, b.plane.Controllers),
		"the benchmark: job servers, workers, submits": operator.CPU(t, os.Getpid()),
	}
}

func (p processors) since(before processors, seconds float64) string {
	var text strings.Builder
	text.WriteString("| process | processors |\n|---|--:|\n")
	for _, who := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&text, "| %s | %.3f |\n", who, (p[who]-before[who])/seconds)
	}
	return text.String()
}

func (w writes) since(before writes) writes {
	out := writes{}
	for what, n := range w {
		if n > before[what] {
			out[what] = n - before[what]
		}
	}
	return out
}

func (w writes) total() (n float64) {
	for _, x := range w {
		n += x
	}
	return n
}

// totals returns the table of the totals.
func (w writes) totals() string { return w.rows("in all", 1) }

// table returns the table of the rates over this many seconds.
func (w writes) table(seconds float64) string { return w.rows("per second", seconds) }

func (w writes) rows(unit string, by float64) string {
	var text strings.Builder
	text.WriteString("| request | " + unit + " |\n|---|--:|\n")
	for _, what := range slices.Sorted(maps.Keys(w)) {
		fmt.Fprintf(&text, "| %s | %.3f |\n", what, w[what]/by)
	}
	return text.String()
}

// requests returns how many requests the ten job servers have received, from any client.
func (b *bench) requests() (n uint64) {
	for _, s := range b.servers {
		n += s.Stats().Total()
	}
	return n
}

// report is the text that is written beside the result.
type report struct{ strings.Builder }

func (r *report) add(title, text string) { fmt.Fprintf(r, "\n## %s\n\n%s", title, text) }

func table(m map[string]int) string {
	var text strings.Builder
	text.WriteString("| kind | entries |\n|---|--:|\n")
	for _, kind := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&text, "| %s | %d |\n", kind, m[kind])
	}
	return text.String()
}

// progress logs what was added to the result since its last call.
func (b *bench) progress(t *testing.T, phase string) {
	t.Helper()
	var text strings.Builder
	for _, k := range slices.Sorted(maps.Keys(b.result)) {
		b.result[k] = math.Round(b.result[k]*10_000) / 10_000
		if !b.told[k] {
			b.told[k] = true
			fmt.Fprintf(&text, " %s=%v", k, b.result[k])
		}
	}
	load, err := os.ReadFile("/proc/loadavg") // the load of the machine is a part of the figures
	if err != nil {
		t.Fatal(err)
	}
	average, _, _ := strings.Cut(string(load), " ")
	fmt.Fprintf(&b.phases, "| %s | %s |\n", phase, average)
	t.Logf("%s:%s (load average %s)", phase, text.String(), average)
}

// finish checks that nothing failed meanwhile, and writes the report and the result.
func (b *bench) finish(t *testing.T) {
	t.Helper()
	if lines := b.operator.errors(t); len(lines) > 0 {
		t.Errorf(
			"the operator logged %d errors, the first of them:\n%s", len(lines),
			strings.Join(lines[:min(10, len(lines))], ""),
		)
	}
	for _, m := range b.operator.Families(t)["controller_runtime_reconcile_errors_total"].GetMetric() {
		if n := m.GetCounter().GetValue(); n > 0 {
			t.Errorf("%v reconciles failed", n)
		}
	}
	if n := b.result["cold_start_scale_downs"]; n > 0 {
		t.Errorf("a new operator lowered replicas %v times before it knew everything", n)
	}
	b.progress(t, "deleted")
	var text strings.Builder
	fmt.Fprintf(&text, "# %d pools, %.0f pods, %d job servers\n\n", b.pools, b.result["pods"], servers)
	fmt.Fprintf(
		&text,
		"On a machine of %d processors, which etcd, kube-apiserver, kube-controller-manager, the job servers and the benchmark shared with the operator. Nine of ten pools\n",
		runtime.NumCPU(),
	)
	fmt.Fprintf(
		&text,
		"were at zero, one of ten had %d pods. No kubelet: the benchmark marked pods ready and held their connections to the job servers. The period is 5 s.\n\n",
		busyPods,
	)
	fmt.Fprintf(&text, "The operator ran as `manager %s`,\nthe kube-controller-manager with `%s`.\n", strings.Join(b.operator.Flags, " "),
		strings.Join(append(slices.Clone(controlplane.ControllerFlags), controllerFlags...), " "))
	text.WriteString("\n## Figures\n\n| figure | value |\n|---|--:|\n")
	for _, k := range slices.Sorted(maps.Keys(b.result)) {
		fmt.Fprintf(&text, "| %s | %.3f |\n", k, b.result[k])
	}
	text.WriteString(
		"\n## Load average of the machine over the last minute of each phase\n\n| phase | load |\n|---|--:|\n" +
			b.phases.String(),
	)
	text.WriteString(b.report.String())
	if path := os.Getenv("BENCH_SCALE_REPORT"); path != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	line, err := json.Marshal(b.result)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("RESULT %s\n", line)
}
