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
	Servers(most int) (shown []backlog.ServerStats, left int)
	Functions(most int, now time.Time) (shown []backlog.FunctionStats, left int)
}

// Options of a collector.
type Options struct {
	// MaxSeries bounds the series of job servers, and of functions, each (10,000). What is beyond is counted in gearman_series_dropped.
	MaxSeries int
}

// Collector is a prometheus.Collector.
type Collector struct {
	source Source
	opts   Options

	info, up, state, age, duration, polls, pollSeconds, requests, bytes, balanced *prometheus.Desc
	jobs, workers, pools, dropped                                                 *prometheus.Desc
}

// series per job server and function, for MaxSeries.
const (
	seriesPerServer   = 11
	seriesPerFunction = 4
)

// New returns a collector of what source knows.
func New(source Source, o Options) *Collector {
	if o.MaxSeries <= 0 {
		o.MaxSeries = 10_000
	}
	server := func(name, help string, more ...string) *prometheus.Desc {
		return prometheus.NewDesc("gearman_server_"+name, help, append([]string{"server"}, more...), nil)
	}
	labels := []string{"function", "server"}
	return &Collector{
		source: source, opts: o,
		info:        server("info", "1 for each name by which pools of a namespace name the job server.", "namespace", "name"),
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
			"Jobs of the function by state; queued ones include delayed, cancelled and abandoned jobs.", append(labels[:2:2], "state"), nil),
		workers: prometheus.NewDesc("gearman_function_workers", "Registrations of the function: a worker counts on each job server.", labels, nil),
		pools:   prometheus.NewDesc("gearman_function_pools", "Pools whose function it is; 0 if no pool has it.", labels, nil),
		dropped: prometheus.NewDesc("gearman_series_dropped", "Series that are not shown since they are beyond the limit.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.info, c.up, c.state, c.age, c.duration, c.polls, c.pollSeconds, c.requests, c.bytes, c.balanced, c.jobs, c.workers, c.pools, c.dropped,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector. What cannot be shown is left out and counted: one series
// must not make the whole scrape fail.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	now := time.Now()
	s := scrape{out: out, seen: make(map[series]bool)}
	servers, left := c.source.Servers(c.opts.MaxSeries / seriesPerServer)
	s.dropped += left * seriesPerServer
	functions, left := c.source.Functions(c.opts.MaxSeries/seriesPerFunction, now)
	s.dropped += left * seriesPerFunction
	for i := range servers {
		c.server(&s, &servers[i], now)
	}
	for i := range functions {
		c.function(&s, &functions[i])
	}
	out <- prometheus.MustNewConstMetric(c.dropped, prometheus.GaugeValue, float64(s.dropped))
}

// scrape collects the series of one scrape.
type scrape struct {
	out     chan<- prometheus.Metric
	seen    map[series]bool
	dropped int
}

type series struct {
	desc *prometheus.Desc
	name [3]string // of function or server, and further labels
}

func (s *scrape) add(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
	id := series{desc: d}
	copy(id.name[:], labels)
	m, err := prometheus.NewConstMetric(d, t, v, labels...)
	if err != nil || s.seen[id] {
		s.dropped++
		return
	}
	s.seen[id] = true
	s.out <- m
}

func (c *Collector) server(out *scrape, s *backlog.ServerStats, now time.Time) {
	gauge := func(d *prometheus.Desc, v float64, more ...string) {
		out.add(d, prometheus.GaugeValue, v, append([]string{s.Address}, more...)...)
	}
	counter := func(d *prometheus.Desc, v float64, more ...string) {
		out.add(d, prometheus.CounterValue, v, append([]string{s.Address}, more...)...)
	}
	for _, n := range s.Names {
		gauge(c.info, 1, label(n.Namespace), label(n.Name))
	}
	gauge(c.up, bit(s.Up))
	gauge(c.state, 1, string(s.State))
	if !s.LastGood.IsZero() {
		gauge(c.age, now.Sub(s.LastGood).Seconds())
	}
	gauge(c.duration, s.LastPollTime.Seconds())
	counter(c.polls, float64(s.Polls), "answered")
	counter(c.polls, float64(s.Failures), "failed")
	counter(c.pollSeconds, s.PollTime.Seconds())
	counter(c.requests, float64(s.Requests))
	counter(c.bytes, float64(s.Bytes))
	gauge(c.balanced, bit(s.LoadBalanced))
}

func (c *Collector) function(out *scrape, f *backlog.FunctionStats) {
	name := label(f.Name)
	out.add(c.jobs, prometheus.GaugeValue, float64(f.Queued), name, f.Server, "queued")
	out.add(c.jobs, prometheus.GaugeValue, float64(f.Running), name, f.Server, "running")
	out.add(c.workers, prometheus.GaugeValue, float64(f.Workers), name, f.Server)
	out.add(c.pools, prometheus.GaugeValue, float64(f.Pools), name, f.Server)
}

// label makes a label value of a function's name, which may hold any byte. Names that differ have
// labels that differ: what is quoted starts with a quote, and nothing else does.
func label(name string) string {
	if utf8.ValidString(name) && (name == "" || name[0] != '"') {
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
