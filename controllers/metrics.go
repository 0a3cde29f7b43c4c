package controllers

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// The pools' metrics, made at scrape from what the Autoscaler knows, so that a pool that is gone leaves none behind.
var (
	poolLabels      = []string{"namespace", "pool"}
	descDesired     = prometheus.NewDesc("gearman_pool_desired_replicas", "Replicas that the last decision asks for.", poolLabels, nil)
	descReplicas    = prometheus.NewDesc("gearman_pool_replicas", "Replicas that the pool's workload asks for (spec.replicas).", poolLabels, nil)
	descReady       = prometheus.NewDesc("gearman_pool_ready_replicas", "Pods that are ready.", poolLabels, nil)
	descMin         = prometheus.NewDesc("gearman_pool_min_replicas", "Least number of replicas at the moment, schedules included.", poolLabels, nil)
	descMax         = prometheus.NewDesc("gearman_pool_max_replicas", "Greatest number of replicas at the moment, schedules included.", poolLabels, nil)
	descQueued      = prometheus.NewDesc("gearman_pool_queued_jobs", "Jobs that wait, over the pool's functions and job servers.", poolLabels, nil)
	descRunning     = prometheus.NewDesc("gearman_pool_running_jobs", "Jobs that workers hold, over the pool's functions and job servers.", poolLabels, nil)
	descWait        = prometheus.NewDesc("gearman_pool_oldest_wait_seconds", "Estimated age of the oldest queued job.", poolLabels, nil)
	descJobTime     = prometheus.NewDesc("gearman_pool_job_seconds", "Learnt mean time of a job.", poolLabels, nil)
	descBoot        = prometheus.NewDesc("gearman_pool_boot_seconds", "Learnt time from a pod's creation to its registration.", poolLabels, nil)
	descPartial     = prometheus.NewDesc("gearman_pool_sample_partial", "1 while a job server of the pool does not answer.", poolLabels, nil)
	descNotRunnable = prometheus.NewDesc("gearman_pool_backlog_not_runnable", "1 while jobs are queued that the job servers give to no free worker.", poolLabels, nil)
	descReason      = prometheus.NewDesc("gearman_pool_decision", "1 for the reason of the last decision.", append(poolLabels, "reason"), nil)
	// In the order of the values in Collect.
	poolDescs = []*prometheus.Desc{
		descDesired, descReplicas, descReady, descMin, descMax, descQueued, descRunning, descWait, descJobTime, descBoot, descPartial, descNotRunnable, descReason,
	}
)

// Describe is part of prometheus.Collector.
func (a *Autoscaler) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range poolDescs {
		ch <- d
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
		e := a.entry(key)
		if e == nil {
			continue
		}
		e.mu.Lock()
		v, w := e.view, e.facts.workload
		e.mu.Unlock()
		if v.at.IsZero() {
			continue
		}
		pairs := []*dto.LabelPair{{Name: new("namespace"), Value: &key.Namespace}, {Name: new("pool"), Value: &key.Name}}
		values := [...]float64{
			float64(v.decision.Replicas), float64(w.replicas), float64(w.ready), float64(v.minReplicas), float64(v.maxReplicas), float64(v.queued), float64(v.running),
			v.decision.OldestWait.Seconds(), v.decision.JobTime.Seconds(), v.learnt.Boot.Seconds(), float64(boolToInt(v.sample.Partial)),
			float64(boolToInt(v.decision.NotRunnable)), 1,
		}
		for i := range values {
			g := &gauge{desc: poolDescs[i], labels: pairs, value: dto.Gauge{Value: &values[i]}}
			if g.desc == descReason {
				g.labels = append(slices.Clone(pairs), &dto.LabelPair{Name: new("reason"), Value: new(string(v.decision.Reason))})
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
