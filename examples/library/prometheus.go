package library

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/worker"
)

// Metrics are the Prometheus metrics of a client and a worker.
type Metrics struct {
	jobs    *prometheus.HistogramVec // of the worker
	running *prometheus.GaugeVec
	calls   *prometheus.HistogramVec // of the client
	lost    *prometheus.CounterVec
}

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		jobs: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gearman_job_duration_seconds", Help: "How long jobs ran, by outcome.",
		}, []string{"function", "outcome"}),
		running: prometheus.NewGaugeVec(
			prometheus.GaugeOpts{Name: "gearman_jobs_running", Help: "Jobs that are running."}, []string{"function"},
		),
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gearman_call_duration_seconds",
			Help: "How long calls took: for background jobs until they were accepted, for others until their result.",
		}, []string{"function", "result"}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gearman_connections_lost_total",
			Help: "Connections of the client that were lost or could not be opened.",
		}, []string{"server"}),
	}
	r.MustRegister(m.jobs, m.running, m.calls, m.lost)
	return m
}

// Worker gives the hooks for worker.Options.
func (m *Metrics) Worker() worker.Hooks {
	return worker.Hooks{
		JobStart: func(j *worker.Job) { m.running.WithLabelValues(j.Function()).Inc() },
		JobDone: func(j *worker.Job, d worker.Done) {
			m.running.WithLabelValues(j.Function()).Dec()
			m.jobs.WithLabelValues(j.Function(), d.Outcome.String()).Observe(d.Duration.Seconds())
		},
	}
}

// Client gives the hooks for client.Options.
func (m *Metrics) Client() client.Hooks {
	return client.Hooks{ConnDown: func(c client.Conn, err error) {
		if err != nil {
			m.lost.WithLabelValues(c.Server).Inc()
		}
	}}
}

// Calls is the middleware for client.Options.
func (m *Metrics) Calls(_ context.Context, t *client.Task) (func(*client.Result), error) {
	function, begin := t.Function, time.Now()
	return func(r *client.Result) {
		result := "ok"
		if r.Err != nil {
			result = "error"
		}
		m.calls.WithLabelValues(function, result).Observe(time.Since(begin).Seconds())
	}, nil
}
