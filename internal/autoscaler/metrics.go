package autoscaler

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// poolMetric is a metric of each pool.
type poolMetric struct {
	desc  *prometheus.Desc
	value func(w *workload.State, v *poolstatus.View) float64
	label func(v *poolstatus.View) string // of the last variable label, if it has one more than the pool's
}

func newPoolMetric(name, help string, value func(*workload.State, *poolstatus.View) float64) poolMetric {
	return poolMetric{desc: prometheus.NewDesc("gearman_pool_"+name, help, poolLabels, nil), value: value}
}

var poolLabels = []string{"namespace", "pool"}

// poolMetrics are made at scrape from the registry, so that a pool that is gone leaves none behind.
var poolMetrics = []poolMetric{
	newPoolMetric("desired_replicas", "Replicas that the last decision asks for.",
		func(_ *workload.State, v *poolstatus.View) float64 { return float64(v.Decision.Replicas) }),
	newPoolMetric("replicas", "Replicas that the pool's workload asks for (spec.replicas).",
		func(w *workload.State, _ *poolstatus.View) float64 { return float64(w.Replicas) }),
	newPoolMetric("ready_replicas", "Pods that are ready.",
		func(w *workload.State, _ *poolstatus.View) float64 { return float64(w.Ready) }),
	newPoolMetric("min_replicas", "Least number of replicas at the moment, schedules included.",
		func(_ *workload.State, v *poolstatus.View) float64 { return float64(v.MinReplicas) }),
	newPoolMetric("max_replicas", "Greatest number of replicas at the moment, schedules included.",
		func(_ *workload.State, v *poolstatus.View) float64 { return float64(v.MaxReplicas) }),
	newPoolMetric("queued_jobs", "Jobs that wait, over the pool's functions and job servers.",
		func(_ *workload.State, v *poolstatus.View) float64 { return float64(v.Queued) }),
	newPoolMetric("running_jobs", "Jobs that workers hold, over the pool's functions and job servers.",
		func(_ *workload.State, v *poolstatus.View) float64 { return float64(v.Running) }),
	newPoolMetric("oldest_wait_seconds", "Estimated age of the oldest queued job.",
		func(_ *workload.State, v *poolstatus.View) float64 { return v.Decision.OldestWait.Seconds() }),
	newPoolMetric("job_seconds", "Learnt mean time of a job.",
		func(_ *workload.State, v *poolstatus.View) float64 { return v.Decision.JobTime.Seconds() }),
	newPoolMetric("boot_seconds", "Learnt time from a pod's creation to its registration.",
		func(_ *workload.State, v *poolstatus.View) float64 { return v.Learnt.Boot.Seconds() }),
	newPoolMetric("sample_partial", "1 while a job server of the pool does not answer.",
		func(_ *workload.State, v *poolstatus.View) float64 { return oneIf(v.Sample.Partial) }),
	newPoolMetric("backlog_not_runnable", "1 while jobs are queued that the job servers give to no free worker.",
		func(_ *workload.State, v *poolstatus.View) float64 { return oneIf(v.Decision.NotRunnable) }),
	{
		desc: prometheus.NewDesc("gearman_pool_decision", "1 for the reason of the last decision.",
			append(slices.Clone(poolLabels), "reason"), nil),
		value: func(*workload.State, *poolstatus.View) float64 { return 1 },
		label: func(v *poolstatus.View) string { return string(v.Decision.Reason) },
	},
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Describe is part of prometheus.Collector.
func (a *Autoscaler) Describe(ch chan<- *prometheus.Desc) {
	for i := range poolMetrics {
		ch <- poolMetrics[i].desc
	}
	a.delay.Describe(ch)
}

func newScaleDelay() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "gearman_scale_delay_seconds",
		Help:    "From the job server's answer that asked for another number of replicas to their change. Going down includes the round in which the pods to go are marked.",
		Buckets: []float64{.005, .01, .02, .03, .05, .075, .1, .15, .2, .3, .5, .75, 1, 1.5, 2.5, 5, 10, 30},
	}, []string{"direction"})
}

// Collect is part of prometheus.Collector.
func (a *Autoscaler) Collect(ch chan<- prometheus.Metric) {
	a.delay.Collect(ch)
	for _, key := range a.keys() {
		var v poolstatus.View
		var w workload.State
		a.known(key, func(p *Pool) { v, w = p.view, p.observed.Workload })
		if v.At.IsZero() {
			continue
		}
		pairs := []*dto.LabelPair{{Name: new("namespace"), Value: &key.Namespace}, {Name: new("pool"), Value: &key.Name}}
		values := make([]float64, len(poolMetrics))
		for i := range poolMetrics {
			m := &poolMetrics[i]
			values[i] = m.value(&w, &v)
			g := &gauge{desc: m.desc, labels: pairs, value: dto.Gauge{Value: &values[i]}}
			if m.label != nil {
				g.labels = append(slices.Clone(pairs), &dto.LabelPair{Name: new("reason"), Value: new(m.label(&v))})
			}
			ch <- g
		}
	}
}

// gauge is a metric of a pool. The library's own would make the labels anew for each of a pool's metrics, and there are many of both.
type gauge struct {
	desc   *prometheus.Desc
	labels []*dto.LabelPair // sorted by name
	value  dto.Gauge
}

// Desc is part of prometheus.Metric.
func (g *gauge) Desc() *prometheus.Desc { return g.desc }

// Write is part of prometheus.Metric.
func (g *gauge) Write(out *dto.Metric) error {
	out.Label, out.Gauge = g.labels, &g.value
	return nil
}
