// Package exporter shows what internal/backlog knows of job servers and their functions as Prometheus metrics. They are built when they are asked for, from what the
// pollers have in memory: nothing is kept between two scrapes, and a scrape sends nothing to a job server.
package exporter

import (
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
)

// Source is what the metrics are made of: a [backlog.Watcher].
type Source interface {
	Servers() []backlog.ServerStats
	Functions(byServer bool, now time.Time) []backlog.FunctionStats
}

// Options of a collector.
type Options struct {
	// ByServer gives the functions' metrics a label for the job server rather than summing over all.
	ByServer bool
	// MaxSeries bounds the series of job servers, and of functions, each (10,000). What is beyond is counted in gearman_series_dropped.
	MaxSeries int
}

// Collector is a prometheus.Collector.
type Collector struct {
	source Source
	opts   Options

	up, state, age, duration, polls, pollSeconds, requests, bytes, balanced *prometheus.Desc
	jobs, workers, pools, dropped                                           *prometheus.Desc
}

// series per job server and function, for MaxSeries.
const (
	seriesPerServer   = 10
	seriesPerFunction = 4
)

// New returns a collector of what source knows.
func New(source Source, o Options) *Collector {
	if o.MaxSeries <= 0 {
		o.MaxSeries = 10_000
	}
	server := func(name, help string, more ...string) *prometheus.Desc {
		return prometheus.NewDesc("gearman_server_"+name, help, append([]string{"server", "name"}, more...), nil)
	}
	labels := []string{"function"}
	if o.ByServer {
		labels = append(labels, "server")
	}
	return &Collector{
		source: source, opts: o,
		up:          server("up", "Whether the last poll of the job server was answered."),
		state:       server("state", "1 for the state that the job server is in.", "state"),
		age:         server("answer_age_seconds", "Age of the last good answer; absent where there never was one."),
		duration:    server("poll_duration_seconds", "How long the last answered poll took."),
		polls:       server("polls_total", "Polls, by whether they were answered.", "result"),
		pollSeconds: server("poll_seconds_total", "Time spent on answered polls."),
		requests:    server("requests_total", "Requests sent to the job server."),
		bytes:       server("received_bytes_total", "Bytes of the job server's answers."),
		balanced:    server("load_balanced", "1 where the address was seen to lead to different job servers."),
		jobs: prometheus.NewDesc("gearman_function_jobs",
			"Jobs of the function by state; queued ones include delayed, cancelled and abandoned jobs.", append(labels, "state"), nil),
		workers: prometheus.NewDesc("gearman_function_workers", "Registrations of the function: a worker counts on each job server.", labels, nil),
		pools:   prometheus.NewDesc("gearman_function_pools", "Pools that work on the function; 0 where no pool does.", labels, nil),
		dropped: prometheus.NewDesc("gearman_series_dropped", "Series that are not shown since they are beyond the limit.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.up, c.state, c.age, c.duration, c.polls, c.pollSeconds, c.requests, c.bytes, c.balanced, c.jobs, c.workers, c.pools, c.dropped,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	now := time.Now()
	servers := c.source.Servers()
	functions := c.source.Functions(c.opts.ByServer, now)
	dropped := 0
	if most := c.opts.MaxSeries / seriesPerServer; len(servers) > most {
		dropped += (len(servers) - most) * seriesPerServer
		servers = servers[:most]
	}
	if most := c.opts.MaxSeries / seriesPerFunction; len(functions) > most {
		dropped += (len(functions) - most) * seriesPerFunction
		functions = functions[:most]
	}
	for i := range servers {
		c.server(out, &servers[i], now)
	}
	for i := range functions {
		c.function(out, &functions[i])
	}
	out <- prometheus.MustNewConstMetric(c.dropped, prometheus.GaugeValue, float64(dropped))
}

func (c *Collector) server(out chan<- prometheus.Metric, s *backlog.ServerStats, now time.Time) {
	metric := func(d *prometheus.Desc, t prometheus.ValueType, v float64, more ...string) {
		out <- prometheus.MustNewConstMetric(d, t, v, append([]string{s.Address, s.Name}, more...)...)
	}
	metric(c.up, prometheus.GaugeValue, bit(s.Up))
	metric(c.state, prometheus.GaugeValue, 1, string(s.State))
	if !s.LastGood.IsZero() {
		metric(c.age, prometheus.GaugeValue, now.Sub(s.LastGood).Seconds())
	}
	metric(c.duration, prometheus.GaugeValue, s.LastPollTime.Seconds())
	metric(c.polls, prometheus.CounterValue, float64(s.Polls), "answered")
	metric(c.polls, prometheus.CounterValue, float64(s.Failures), "failed")
	metric(c.pollSeconds, prometheus.CounterValue, s.PollTime.Seconds())
	metric(c.requests, prometheus.CounterValue, float64(s.Requests))
	metric(c.bytes, prometheus.CounterValue, float64(s.Bytes))
	metric(c.balanced, prometheus.GaugeValue, bit(s.LoadBalanced))
}

func (c *Collector) function(out chan<- prometheus.Metric, f *backlog.FunctionStats) {
	labels := []string{label(f.Name)}
	if c.opts.ByServer {
		labels = append(labels, f.Server)
	}
	out <- prometheus.MustNewConstMetric(c.jobs, prometheus.GaugeValue, float64(f.Queued), append(labels, "queued")...)
	out <- prometheus.MustNewConstMetric(c.jobs, prometheus.GaugeValue, float64(f.Running), append(labels, "running")...)
	out <- prometheus.MustNewConstMetric(c.workers, prometheus.GaugeValue, float64(f.Workers), labels...)
	out <- prometheus.MustNewConstMetric(c.pools, prometheus.GaugeValue, float64(f.Pools), labels...)
}

// label makes a legal label value of a function's name, which may hold any byte. Names that differ give labels that differ.
func label(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	return strconv.Quote(name)
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
