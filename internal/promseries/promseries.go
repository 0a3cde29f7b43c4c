// Package promseries has Prometheus series that share their labels. The library's own type builds
// the labels again for each series, and a scrape of the operator has thousands.
package promseries

import (
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Series is one series with its value. It implements prometheus.Metric.
type Series struct {
	Metric  *prometheus.Desc
	Labels  []*dto.LabelPair // as [Labels] returns them
	Value   float64
	Counter bool // otherwise it is a gauge
}

// Desc is part of prometheus.Metric.
func (s *Series) Desc() *prometheus.Desc { return s.Metric }

// Write is part of prometheus.Metric.
func (s *Series) Write(out *dto.Metric) error {
	out.Label = s.Labels
	if s.Counter {
		out.Counter = &dto.Counter{Value: &s.Value}
	} else {
		out.Gauge = &dto.Gauge{Value: &s.Value}
	}
	return nil
}

// Labels returns the shared labels and those with these names and values, sorted by name. Without
// names it returns shared itself, which must be sorted. It keeps both slices.
func Labels(shared []*dto.LabelPair, names, values []string) []*dto.LabelPair {
	if len(names) == 0 {
		return shared
	}
	all := slices.Grow(slices.Clone(shared), len(names))
	for i := range names {
		all = append(all, &dto.LabelPair{Name: &names[i], Value: &values[i]})
	}
	slices.SortFunc(all, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	return all
}
