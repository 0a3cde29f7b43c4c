package operator

import (
	"encoding/json"
	"maps"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
)

// entries reports how many entries the operator keeps in memory, as a metric and as JSON, so that a
// leak is visible: when the last pool is deleted, all are 0.
type entries []func() map[string]int

var descEntries = prometheus.NewDesc(
	"gearman_operator_entries", "Entries that the operator keeps in memory, by kind; all are 0 without pools.",
	[]string{"kind"}, nil,
)

func (e entries) count() map[string]int {
	out := map[string]int{}
	for _, of := range e {
		maps.Copy(out, of())
	}
	return out
}

// Describe is part of prometheus.Collector.
func (e entries) Describe(ch chan<- *prometheus.Desc) { ch <- descEntries }

// Collect is part of prometheus.Collector.
func (e entries) Collect(ch chan<- prometheus.Metric) {
	for kind, n := range e.count() {
		ch <- prometheus.MustNewConstMetric(descEntries, prometheus.GaugeValue, float64(n), kind)
	}
}

// ServeHTTP serves the counts, for clients that need no other metrics.
func (e entries) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(e.count()) // the client has disconnected
}
