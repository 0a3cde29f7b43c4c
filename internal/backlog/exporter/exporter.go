// Package exporter serves the metrics of internal/backlog/series to Prometheus. They are built when
// they are asked for, from what the pollers have in memory: nothing is kept between two scrapes,
// and a scrape sends nothing to a job server.
package exporter

import (
	"cmp"
	"hash/maphash"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/backlog/series"
	"github.com/gearman-operator/gearman-operator/internal/promseries"
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
	s := scrape{out: out, seed: maphash.MakeSeed(), seen: make(map[uint64]struct{})}
	servers, left := c.source.Servers(c.opts.MaxSeries / series.PerServer)
	s.dropped += left * series.PerServer
	functions, left := c.source.Functions(c.opts.MaxSeries/series.PerFunction, now)
	s.dropped += left * series.PerFunction
	for i := range servers {
		labels := promseries.Labels(nil, series.ServerLabels, series.ServerNames(&servers[i]))
		collect(&s, c.servers, &servers[i], labels, now)
	}
	for i := range functions {
		labels := promseries.Labels(nil, series.FunctionLabels, series.FunctionNames(&functions[i]))
		collect(&s, c.functions, &functions[i], labels, now)
	}
	out <- prometheus.MustNewConstMetric(c.dropped, prometheus.GaugeValue, float64(s.dropped))
}

// collect adds all series of one job server or function, which labels name. The series share them: a
// scrape has thousands.
func collect[S any](out *scrape, families []family[S], of *S, labels []*dto.LabelPair, now time.Time) {
	for i := range families {
		f := &families[i]
		f.Values(of, now, func(value float64, own ...string) {
			out.add(f.Name, &promseries.Series{
				Metric: f.desc, Counter: f.Counter, Value: value, Labels: promseries.Labels(labels, f.Labels, own),
			})
		})
	}
}

// scrape collects the series of one scrape.
type scrape struct {
	out     chan<- prometheus.Metric
	seed    maphash.Seed
	seen    map[uint64]struct{} // hashes of names and labels
	dropped int
}

func (s *scrape) add(name string, m *promseries.Series) {
	var h maphash.Hash
	h.SetSeed(s.seed)
	_, _ = h.WriteString(name)
	for _, l := range m.Labels {
		if !utf8.ValidString(*l.Value) {
			s.dropped++
			return
		}
		_ = h.WriteByte(0xff) // which is in no valid string
		_, _ = h.WriteString(*l.Value)
	}
	id := h.Sum64()
	if _, ok := s.seen[id]; ok {
		s.dropped++
		return
	}
	s.seen[id] = struct{}{}
	s.out <- m
}
