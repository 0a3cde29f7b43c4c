// Package exporter serves the metrics of internal/backlog/series to Prometheus. They are built when
// they are asked for, from what the pollers have in memory: nothing is kept between two scrapes,
// and a scrape sends nothing to a job server.
package exporter

import (
	"cmp"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/backlog/series"
)

// Source is what the metrics are made of: a [backlog.Watcher].
type Source interface {
	Servers(most int) (shown []backlog.ServerStats, left int)
	Functions(most int, now time.Time) (shown []backlog.FunctionStats, left int)
}

// Options of a collector.
type Options struct {
	// MaxSeries bounds the series of job servers, and of functions, each ([series.Most]). What is
	// beyond is counted in gearman_series_dropped.
	MaxSeries int
}

// Collector is a prometheus.Collector.
type Collector struct {
	source    Source
	opts      Options
	servers   []family[backlog.ServerStats]
	functions []family[backlog.FunctionStats]
	dropped   *prometheus.Desc
}

// family is a metric with its description.
type family[S any] struct {
	*series.Metric[S]
	desc *prometheus.Desc
}

func families[S any](metrics []series.Metric[S], labels []string) []family[S] {
	all := make([]family[S], len(metrics))
	for i := range metrics {
		m := &metrics[i]
		all[i] = family[S]{m, prometheus.NewDesc(m.Name, m.Help, slices.Concat(labels, m.Labels), nil)}
	}
	return all
}

// New returns a collector of what source knows.
func New(source Source, o Options) *Collector {
	o.MaxSeries = cmp.Or(max(0, o.MaxSeries), series.Most)
	return &Collector{
		source: source, opts: o,
		servers:   families(series.Servers, series.ServerLabels),
		functions: families(series.Functions, series.FunctionLabels),
		dropped:   prometheus.NewDesc(series.Dropped, series.DroppedHelp, nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, f := range c.servers {
		out <- f.desc
	}
	for _, f := range c.functions {
		out <- f.desc
	}
	out <- c.dropped
}

// Collect implements prometheus.Collector. What cannot be shown is left out and counted: one series
// must not make the whole scrape fail.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	now := time.Now()
	s := scrape{out: out, seen: make(map[id]bool)}
	servers, left := c.source.Servers(c.opts.MaxSeries / series.PerServer)
	s.dropped += left * series.PerServer
	functions, left := c.source.Functions(c.opts.MaxSeries/series.PerFunction, now)
	s.dropped += left * series.PerFunction
	for i := range servers {
		collect(&s, c.servers, &servers[i], series.ServerNames(&servers[i]), now)
	}
	for i := range functions {
		collect(&s, c.functions, &functions[i], series.FunctionNames(&functions[i]), now)
	}
	out <- prometheus.MustNewConstMetric(c.dropped, prometheus.GaugeValue, float64(s.dropped))
}

// collect adds all series of one job server or function.
func collect[S any](out *scrape, families []family[S], of *S, names []string, now time.Time) {
	for i := range families {
		f := &families[i]
		kind := prometheus.GaugeValue
		if f.Counter {
			kind = prometheus.CounterValue
		}
		f.Values(of, now, func(value float64, labels ...string) {
			out.add(f.desc, kind, value, slices.Concat(names, labels)...)
		})
	}
}

// scrape collects the series of one scrape.
type scrape struct {
	out     chan<- prometheus.Metric
	seen    map[id]bool
	dropped int
}

type id struct {
	desc *prometheus.Desc
	name [3]string // of function or server, and further labels
}

func (s *scrape) add(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
	id := id{desc: d}
	copy(id.name[:], labels)
	m, err := prometheus.NewConstMetric(d, t, v, labels...)
	if err != nil || s.seen[id] {
		s.dropped++
		return
	}
	s.seen[id] = true
	s.out <- m
}
