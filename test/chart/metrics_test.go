package chart

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/yaml"

	"github.com/gearman-operator/gearman-operator/internal/autoscaler"
	"github.com/gearman-operator/gearman-operator/internal/backlog/exporter"
)

var (
	fqName = regexp.MustCompile(`fqName: "([^"]+)"`)
	// histogramPart matches the suffixes of the series that Prometheus makes of a histogram.
	histogramPart = regexp.MustCompile(`_(?:bucket|sum|count)$`)
	metricName    = regexp.MustCompile(`\bgearman_(?:pool|server|function|series|scale)_[a-z_]+\b`)
)

// operatorMetrics returns the names of all metrics of the operator's own.
func operatorMetrics() []string {
	descs := make(chan *prometheus.Desc, 1000)
	autoscaler.New(nil, autoscaler.Options{}).Describe(descs)
	exporter.New(nil, exporter.Options{}).Describe(descs)
	close(descs)
	var names []string
	for desc := range descs {
		names = append(names, fqName.FindStringSubmatch(desc.String())[1])
	}
	return names
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(root + "/" + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestMetricsExist: alerts and docs name metrics that exist, and the docs leave no metric out.
func TestMetricsExist(t *testing.T) {
	t.Parallel()
	known := operatorMetrics()
	if len(known) < 20 {
		t.Fatalf("only %d metrics found: %v", len(known), known)
	}
	for _, file := range []string{
		"charts/gearman-operator/files/alerts.yaml", "docs/metrics.md", "docs/alerts.md",
	} {
		used := metricName.FindAllString(read(t, file), -1)
		if len(used) == 0 {
			t.Errorf("%s names no metric", file)
		}
		for _, name := range used {
			name = strings.TrimSuffix(name, "_bucket") // of a histogram
			name = histogramPart.ReplaceAllString(name, "")
			if !slices.Contains(known, name) {
				t.Errorf("%s uses %s, which the operator does not have", file, name)
			}
		}
	}
	docs := read(t, "docs/metrics.md")
	for _, name := range known {
		if !strings.Contains(docs, "`"+name+"`") {
			t.Errorf("docs/metrics.md lacks %s", name)
		}
	}
}

// TestRunbooks: each alert has a runbook and a unit test (make lint-chart runs them), and each
// runbook has an alert.
func TestRunbooks(t *testing.T) {
	t.Parallel()
	var file struct {
		Groups []struct {
			Rules []struct{ Alert string } `json:"rules"`
		} `json:"groups"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "charts/gearman-operator/files/alerts.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	alerts := map[string]bool{}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			alerts[rule.Alert] = true
		}
	}
	runbooks := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^## (Gearman\w+)$`).FindAllStringSubmatch(read(t, "docs/alerts.md"), -1) {
		runbooks[heading[1]] = true
	}
	for alert := range alerts {
		if !runbooks[alert] {
			t.Errorf("docs/alerts.md has no heading %s", alert)
		}
	}
	tests := read(t, "test/chart/testdata/alerts.yaml")
	for alert := range alerts {
		if !strings.Contains(tests, "alertname: "+alert) {
			t.Errorf("test/chart/testdata/alerts.yaml does not say when %s fires", alert)
		}
	}
	for runbook := range runbooks {
		if !alerts[runbook] {
			t.Errorf("docs/alerts.md tells about %s, which is no alert", runbook)
		}
	}
}
