// Package dashboards reads the chart's Grafana dashboards and draws what a Prometheus returns for
// their queries, so that they can be viewed without Grafana. It knows no cluster; test/e2e runs it
// with one (make e2e), and draws build/reports/dashboards/*.svg.
package dashboards
