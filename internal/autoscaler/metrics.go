package autoscaler

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gearman-operator/gearman-operator/internal/boolean"
	"github.com/gearman-operator/gearman-operator/internal/outcome"
	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
	"github.com/gearman-operator/gearman-operator/internal/promseries"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// poolMetric is a metric of each pool: one table entry each. values emits its series for one pool.
type poolMetric struct {
	desc    *prometheus.Desc
	labels  []string // beside the pool's own
	counter bool
	values  func(p *shown, emit func(value float64, labels ...string))
}

// shown is the input of one pool's metrics.
type shown struct {
	view       poolstatus.View
	workload   workload.State
	spec       *Spec // in use, or the last one read if none is
	conditions []Condition
}

var poolLabels = []string{"namespace", "pool"}

// gaugeOf is a gauge with one series for each pool that has been decided on.
func gaugeOf(name, help string, value func(*shown) float64) poolMetric {
	return poolMetric{desc: poolDesc(name, help), values: func(p *shown, emit func(float64, ...string)) {
		if !p.view.At.IsZero() {
			emit(value(p))
		}
	}}
}

func poolDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("gearman_pool_"+name, help, append(slices.Clone(poolLabels), labels...), nil)
}

// poolMetrics are computed at scrape from the registry, so that a deleted pool leaves none behind.
var poolMetrics = []poolMetric{
	gaugeOf("desired_replicas", "Number of replicas that the last decision asks for.",
		func(p *shown) float64 { return float64(p.view.Decision.Replicas) }),
	gaugeOf("replicas", "Replicas of the pool's workload (spec.replicas).",
		func(p *shown) float64 { return float64(p.workload.Replicas) }),
	gaugeOf("ready_replicas", "Number of ready pods.",
		func(p *shown) float64 { return float64(p.workload.Ready) }),
	gaugeOf("min_replicas", "Minimum number of replicas in force, including schedules.",
		func(p *shown) float64 { return float64(p.view.MinReplicas) }),
	gaugeOf("max_replicas", "Maximum number of replicas in force, including schedules.",
		func(p *shown) float64 { return float64(p.view.MaxReplicas) }),
	gaugeOf("queued_jobs", "Queued jobs, summed over the pool's functions and job servers.",
		func(p *shown) float64 { return float64(p.view.Queued) }),
	gaugeOf("running_jobs", "Running jobs, summed over the pool's functions and job servers.",
		func(p *shown) float64 { return float64(p.view.Running) }),
	gaugeOf("oldest_wait_seconds", "Estimated wait of the oldest queued job.",
		func(p *shown) float64 { return p.view.Decision.OldestWait.Seconds() }),
	gaugeOf("target_wait_seconds", "Time within which a queued job should start; 0 if the pool scales by jobsPerReplica alone.",
		func(p *shown) float64 { return p.view.TargetWait.Seconds() }),
	gaugeOf("job_seconds", "Measured mean time of a job.",
		func(p *shown) float64 { return p.view.Decision.JobTime.Seconds() }),
	gaugeOf("boot_seconds", "Measured time from a pod's creation to its registration at a job server.",
		func(p *shown) float64 { return p.view.Learnt.Boot.Seconds() }),
	gaugeOf("sample_partial", "1 while a job server of the pool does not answer.",
		func(p *shown) float64 { return boolean.Float(p.view.Sample.Partial) }),
	gaugeOf("backlog_not_runnable", "1 while jobs are queued that the job servers give to no free worker.",
		func(p *shown) float64 { return boolean.Float(p.view.Decision.NotRunnable) }),
	{
		desc:   poolDesc("decision", "1 for the reason of the last decision.", "reason"),
		labels: []string{"reason"},
		values: func(p *shown, emit func(float64, ...string)) {
			if !p.view.At.IsZero() {
				emit(1, string(p.view.Decision.Reason))
			}
		},
	},
	{
		desc: poolDesc(
			"jobs_total",
			"Jobs that ended or were requeued since this operator started to watch the pool, as reported by telemetry.",
			"function", "result",
		),
		labels:  []string{"function", "result"},
		counter: true,
		values: func(p *shown, emit func(float64, ...string)) {
			for i := range p.view.Functions {
				f := &p.view.Functions[i]
				for _, r := range outcome.Results {
					emit(float64(r.Of(f.Counts)), f.Function, r.Name)
				}
			}
		},
	},
	{
		desc: poolDesc("jobs_started_total",
			"Jobs that started within the target wait (in_time) or later (late), estimated from polls and telemetry.",
			"wait"),
		labels: []string{"wait"}, counter: true,
		values: func(p *shown, emit func(float64, ...string)) {
			if s := p.view.Starts; s != nil {
				emit(s.Total.InTime, "in_time")
				emit(s.Total.Late, "late")
			}
		},
	},
	{
		desc: poolDesc("jobs_late_bound_total",
			"Bounds of the late jobs in gearman_pool_jobs_started_total: at_least and at_most.", "bound"),
		labels: []string{"bound"}, counter: true,
		values: func(p *shown, emit func(float64, ...string)) {
			if s := p.view.Starts; s != nil {
				emit(s.Total.LateMin, "at_least")
				emit(s.Total.LateMax, "at_most")
			}
		},
	},
	{
		desc: poolDesc("condition", "1 for the pool's Ready condition and each condition that reports a problem.",
			"reason", "status", "type"),
		labels: []string{"reason", "status", "type"},
		values: func(p *shown, emit func(float64, ...string)) {
			for _, c := range p.conditions {
				emit(1, c.Reason, c.Status, c.Type)
			}
		},
	},
	{
		desc: poolDesc(
			"info", "1, with the pool's scaling mode, kind of workload and kind of runtime.", "mode", "runtime",
			"workload",
		),
		labels: []string{"mode", "runtime", "workload"},
		values: func(p *shown, emit func(float64, ...string)) {
			if p.spec != nil {
				emit(1, p.spec.Mode, p.spec.Runtime, p.spec.Workload)
			}
		},
	},
}

// Describe is part of prometheus.Collector.
func (a *Autoscaler) Describe(ch chan<- *prometheus.Desc) {
	for i := range poolMetrics {
		ch <- poolMetrics[i].desc
	}
	a.delay.Describe(ch)
}

// newScaleDelay creates both series at once: Prometheus sees no increase in a series that begins
// with its first observation.
func newScaleDelay() *prometheus.HistogramVec {
	delay := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "gearman_scale_delay_seconds",
		Help:    "Time from the poll that asked for another number of replicas to the change. Scaling down includes the time in which the pods to remove are marked.",
		Buckets: []float64{.005, .01, .02, .03, .05, .075, .1, .15, .2, .3, .5, .75, 1, 1.5, 2.5, 5, 10, 30},
	}, []string{"direction"})
	delay.WithLabelValues("up")
	delay.WithLabelValues("down")
	return delay
}

// Collect is part of prometheus.Collector.
func (a *Autoscaler) Collect(ch chan<- prometheus.Metric) {
	a.delay.Collect(ch)
	for _, key := range a.keys() {
		var s shown
		a.doExisting(key, func(p *Pool) {
			s = shown{view: p.view, workload: p.observed.Workload, spec: p.used, conditions: slices.Clone(p.conditions)}
			if s.spec == nil {
				s.spec = p.offered
			}
		})
		pool := promseries.Labels(nil, poolLabels, []string{key.Namespace, key.Name})
		for i := range poolMetrics {
			m := &poolMetrics[i]
			m.values(&s, func(value float64, labels ...string) {
				ch <- &promseries.Series{
					Metric: m.desc, Counter: m.counter, Value: value, Labels: promseries.Labels(pool, m.labels, labels),
				}
			})
		}
	}
}
