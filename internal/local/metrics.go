package local

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gearman-operator/gearman-operator/internal/page"
)

// metric is a metric of each pool, under the name that it has in a cluster.
type metric struct {
	name, help string
	value      func(*page.Pool) float64
}

var metrics = []metric{
	{"gearman_pool_desired_replicas", "Replicas that the last decision asks for.", func(p *page.Pool) float64 { return float64(p.Desired) }},
	{"gearman_pool_replicas", "Workers that are to run.", func(p *page.Pool) float64 { return float64(p.Replicas) }},
	{"gearman_pool_ready_replicas", "Workers that are ready.", func(p *page.Pool) float64 { return float64(p.Ready) }},
	{"gearman_pool_min_replicas", "Least number of replicas at the moment, schedules included.", func(p *page.Pool) float64 { return float64(p.Min) }},
	{"gearman_pool_max_replicas", "Greatest number of replicas at the moment, schedules included.", func(p *page.Pool) float64 { return float64(p.Max) }},
	{"gearman_pool_queued_jobs", "Queued jobs of the pool's functions.", func(p *page.Pool) float64 { return float64(p.Queued) }},
	{"gearman_pool_running_jobs", "Running jobs of the pool's functions.", func(p *page.Pool) float64 { return float64(p.Running) }},
	{"gearman_pool_oldest_wait_seconds", "Estimated age of the oldest queued job.", func(p *page.Pool) float64 { return p.WaitSeconds }},
	{"gearman_pool_job_seconds", "Measured mean time of a job.", func(p *page.Pool) float64 { return p.JobSeconds }},
	{"gearman_pool_boot_seconds", "Measured time from a worker's start to its registration.", func(p *page.Pool) float64 { return p.StartSeconds }},
	{"gearman_pool_sample_partial", "1 while a job server of the pool does not answer.", func(p *page.Pool) float64 { return one(p.Partial) }},
	{"gearman_pool_backlog_not_runnable", "1 while jobs are queued that the job servers give to no free worker.", func(p *page.Pool) float64 { return one(p.Stuck) }},
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Metrics serves the pools' metrics in Prometheus' text format.
func (f *Fleet) Metrics() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		writeMetrics(w, f.snapshot.Load().Pools)
	})
}

func writeMetrics(w io.Writer, pools []page.Pool) {
	pools = slices.DeleteFunc(slices.Clone(pools), func(p page.Pool) bool { return p.Reason == "" }) // not decided on yet
	for _, m := range metrics {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s gauge\n", m.name, m.help, m.name)
		for i := range pools {
			p := &pools[i]
			fmt.Fprintf(w, "%s{namespace=%q,pool=%q} %s\n", m.name, p.Namespace, p.Name, strconv.FormatFloat(m.value(p), 'g', -1, 64))
		}
	}
	const decision = "gearman_pool_decision"
	fmt.Fprintf(w, "# HELP %s 1 for the reason of the last decision.\n# TYPE %s gauge\n", decision, decision)
	for _, p := range pools {
		fmt.Fprintf(w, "%s{namespace=%q,pool=%q,reason=%q} 1\n", decision, p.Namespace, p.Name, strings.ToValidUTF8(p.Reason, "?"))
	}
}
