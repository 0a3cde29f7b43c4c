package local

import (
	"bufio"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/backlog/series"
	"github.com/gearman-operator/gearman-operator/internal/boolean"
	"github.com/gearman-operator/gearman-operator/internal/outcome"
	"github.com/gearman-operator/gearman-operator/internal/page"
)

// metric is a metric of each pool, with the name that it has in a cluster. docs/metrics.md says
// which ones only a cluster has: conditions belong to the status of a Kubernetes object, and late
// jobs are counted by the operator only.
type metric struct {
	name, help string
	labels     []string // beside the pool's own
	counter    bool
	values     func(p *page.Pool, emit func(value float64, labels ...string))
}

func gauge(name, help string, value func(*page.Pool) float64) metric {
	return metric{name: name, help: help, values: func(p *page.Pool, emit func(float64, ...string)) { emit(value(p)) }}
}

var metrics = []metric{
	gauge(
		"gearman_pool_desired_replicas", "Replicas that the last decision asks for.",
		func(p *page.Pool) float64 { return float64(p.Desired) },
	),
	gauge(
		"gearman_pool_replicas", "Workers that should run.", func(p *page.Pool) float64 { return float64(p.Replicas) },
	),
	gauge(
		"gearman_pool_ready_replicas", "Workers that are ready.",
		func(p *page.Pool) float64 { return float64(p.Ready) },
	),
	gauge(
		"gearman_pool_min_replicas", "Minimum number of replicas in force, including schedules.",
		func(p *page.Pool) float64 { return float64(p.Min) },
	),
	gauge(
		"gearman_pool_max_replicas", "Maximum number of replicas in force, including schedules.",
		func(p *page.Pool) float64 { return float64(p.Max) },
	),
	gauge(
		"gearman_pool_queued_jobs", "Queued jobs of the pool's functions.",
		func(p *page.Pool) float64 { return float64(p.Queued) },
	),
	gauge(
		"gearman_pool_running_jobs", "Running jobs of the pool's functions.",
		func(p *page.Pool) float64 { return float64(p.Running) },
	),
	gauge(
		"gearman_pool_oldest_wait_seconds", "Estimated wait of the oldest queued job.",
		func(p *page.Pool) float64 { return p.WaitSeconds },
	),
	gauge("gearman_pool_target_wait_seconds", "Time within which a queued job should start; 0 if the pool scales by jobsPerReplica alone.",
		func(p *page.Pool) float64 { return p.TargetSeconds }),
	gauge(
		"gearman_pool_job_seconds", "Measured mean time of a job.", func(p *page.Pool) float64 { return p.JobSeconds },
	),
	gauge(
		"gearman_pool_boot_seconds", "Measured time from a worker's start to its registration.",
		func(p *page.Pool) float64 { return p.StartSeconds },
	),
	gauge(
		"gearman_pool_sample_partial", "1 while a job server of the pool does not answer.",
		func(p *page.Pool) float64 { return boolean.Float(p.Partial) },
	),
	gauge("gearman_pool_backlog_not_runnable", "1 while jobs are queued that the job servers give to no free worker.",
		func(p *page.Pool) float64 { return boolean.Float(p.Stuck) }),
	{
		name: "gearman_pool_decision", help: "1 for the reason of the last decision.", labels: []string{"reason"},
		values: func(p *page.Pool, emit func(float64, ...string)) { emit(1, p.Reason) },
	},
	{
		name:   "gearman_pool_jobs_total",
		help:   "Jobs that ended or were requeued since this process started to watch the pool, as reported by telemetry.",
		labels: []string{"function", "result"}, counter: true,
		values: func(p *page.Pool, emit func(float64, ...string)) {
			for i := range p.Results {
				f := &p.Results[i]
				for _, r := range outcome.Results {
					emit(float64(r.Of(f.Counts)), f.Function, r.Name)
				}
			}
		},
	},
	{
		name: "gearman_pool_info", help: "1, with the pool's scaling mode, kind of workload and kind of runtime.",
		labels: []string{"mode", "runtime", "workload"},
		values: func(p *page.Pool, emit func(float64, ...string)) { emit(1, p.Mode, p.Runtime, "Process") },
	},
}

// Metrics serves the metrics of pools, job servers and functions in Prometheus' text format.
func (f *Fleet) Metrics() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		now := time.Now()
		out := &exposition{out: bufio.NewWriter(w)}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		writePools(out, f.snapshot.Load().Pools)
		servers, left := f.watcher.Servers(series.Most / series.PerServer)
		dropped := left * series.PerServer
		functions, left := f.watcher.Functions(series.Most/series.PerFunction, now)
		dropped += left * series.PerFunction
		writeServers(out, servers, functions, now)
		out.family(series.Dropped, series.DroppedHelp, false)
		out.sample(series.Dropped, nil, nil, float64(dropped))
		_ = out.out.Flush() // the client may have disconnected
	})
}

var poolLabels = []string{"namespace", "pool"}

func writePools(out *exposition, pools []page.Pool) {
	// not decided on yet
	pools = slices.DeleteFunc(slices.Clone(pools), func(p page.Pool) bool { return p.Reason == "" })
	for i := range metrics {
		m := &metrics[i]
		out.family(m.name, m.help, m.counter)
		labels := slices.Concat(poolLabels, m.labels)
		for k := range pools {
			p := &pools[k]
			m.values(p, func(value float64, more ...string) {
				out.sample(m.name, labels, slices.Concat([]string{p.Namespace, p.Name}, more), value)
			})
		}
	}
}

func writeServers(out *exposition, servers []backlog.ServerStats, functions []backlog.FunctionStats, now time.Time) {
	writeSeries(out, series.Servers, servers, series.ServerLabels, series.ServerNames, now)
	writeSeries(out, series.Functions, functions, series.FunctionLabels, series.FunctionNames, now)
}

func writeSeries[S any](
	out *exposition, metrics []series.Metric[S], all []S, labels []string, names func(*S) []string, now time.Time,
) {
	for i := range metrics {
		m := &metrics[i]
		out.family(m.Name, m.Help, m.Counter)
		labels := slices.Concat(labels, m.Labels)
		for k := range all {
			m.Values(&all[k], now, func(value float64, more ...string) {
				out.sample(m.Name, labels, slices.Concat(names(&all[k]), more), value)
			})
		}
	}
}

// exposition writes Prometheus' text format. Its writer keeps an error until Flush.
type exposition struct{ out *bufio.Writer }

func (e *exposition) family(name, help string, counter bool) {
	kind := "gauge"
	if counter {
		kind = "counter"
	}
	e.write("# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind, "\n")
}

// escapes are the escaped characters of a label's value: backslash, quote and newline.
var escapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func (e *exposition) sample(name string, labels, values []string, value float64) {
	e.write(name)
	for i, label := range labels {
		separator := ","
		if i == 0 {
			separator = "{"
		}
		e.write(separator, label, `="`, escapes.Replace(strings.ToValidUTF8(values[i], "\uFFFD")), `"`)
	}
	if len(labels) > 0 {
		e.write("}")
	}
	e.write(" ", strconv.FormatFloat(value, 'g', -1, 64), "\n")
}

func (e *exposition) write(parts ...string) {
	for _, part := range parts {
		_, _ = io.WriteString(e.out, part)
	}
}
