package chart

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// alertRule is an alert, as Prometheus reads it.
type alertRule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

type ruleGroups struct {
	Groups []struct {
		Rules []alertRule `json:"rules"`
	} `json:"groups"`
}

// alertsOfTheFile returns the alerts that the chart installs, in their order.
func alertsOfTheFile(t *testing.T) []alertRule {
	t.Helper()
	var file ruleGroups
	if err := yaml.Unmarshal([]byte(read(t, "charts/gearman-operator/files/alerts.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	var all []alertRule
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) < 15 {
		t.Fatalf("only %d alerts found", len(all))
	}
	return all
}

// renderedAlerts returns the alerts that the chart renders with these arguments, by name.
func renderedAlerts(t *testing.T, args ...string) map[string]alertRule {
	t.Helper()
	for _, object := range render(t, append([]string{"--set", "prometheusRule.enabled=true"}, args...)...) {
		if object.GetKind() != "PrometheusRule" {
			continue
		}
		var spec struct {
			Spec ruleGroups `json:"spec"`
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &spec); err != nil {
			t.Fatal(err)
		}
		all := map[string]alertRule{}
		for _, group := range spec.Spec.Groups {
			for _, r := range group.Rules {
				all[r.Alert] = r
			}
		}
		return all
	}
	t.Fatal("no PrometheusRule was rendered")
	return nil
}

// TestAlertValues: users can set the threshold, time, severity and labels of each alert; the other
// alerts stay unchanged.
func TestAlertValues(t *testing.T) {
	t.Parallel()
	before := renderedAlerts(t)
	for _, r := range alertsOfTheFile(t) {
		t.Run(r.Alert, func(t *testing.T) {
			t.Parallel()
			values := map[string]any{"for": "7m", "severity": "page", "labels": map[string]any{"team": "queues"}}
			want := before[r.Alert]
			want.For, want.Labels = "7m", map[string]string{"severity": "page", "team": "queues", "site": "here"}
			if threshold.MatchString(r.Expr) {
				values["threshold"] = 0.25
				want.Expr = threshold.ReplaceAllString(want.Expr, "(0.25)")
			}
			data, err := json.Marshal(map[string]any{r.Alert: values})
			if err != nil {
				t.Fatal(err)
			}
			after := renderedAlerts(
				t, "--set", "prometheusRule.alertLabels.site=here", "--set-json", "prometheusRule.alerts="+string(data),
			)
			if diff := cmp.Diff(want, after[r.Alert]); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for name, other := range after {
				if name != r.Alert && (other.Expr != before[name].Expr || other.For != before[name].For ||
					other.Labels["team"] != "") {
					t.Errorf("%s changed too: %+v", name, other)
				}
			}
		})
	}
}

var threshold = regexp.MustCompile(`\([0-9.]+\)`)

func TestAlertValuesThatAreRefused(t *testing.T) {
	t.Parallel()
	for set, want := range map[string]string{
		"prometheusRule.alerts.GearmanPoolStalled.threshold=3":  "this alert has no threshold",
		"prometheusRule.alerts.GearmanPoolInstalled.for=3m":     "GearmanPoolInstalled",
		"prometheusRule.alerts.GearmanPoolStalled.for=soon":     "for",
		"prometheusRule.alerts.GearmanPoolStalled.fro=3m":       "fro",
		"prometheusRule.alerts.GearmanScalingSlow.threshold=-1": "threshold",
	} {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			_, stderr, err := helm(
				t, "template", release, chartPath, "--set", "prometheusRule.enabled=true", "--set", set,
			)
			if err == nil || !strings.Contains(stderr, want) {
				t.Errorf("%v: %s\nwant %q", err, stderr, want)
			}
		})
	}
}

// TestAlertsAreKnown: the schema knows each alert, and each links to its runbook.
func TestAlertsAreKnown(t *testing.T) {
	t.Parallel()
	var schema struct {
		Properties struct {
			PrometheusRule struct {
				Properties struct {
					Alerts struct {
						PropertyNames struct{ Enum []string }
					}
				}
			} `json:"prometheusRule"`
		}
	}
	if err := json.Unmarshal([]byte(read(t, "charts/gearman-operator/values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range alertsOfTheFile(t) {
		names = append(names, r.Alert)
	}
	if diff := cmp.Diff(names, schema.Properties.PrometheusRule.Properties.Alerts.PropertyNames.Enum); diff != "" {
		t.Errorf("prometheusRule.alerts in values.schema.json (-alerts.yaml +schema):\n%s", diff)
	}
	rendered := renderedAlerts(t)
	if diff := cmp.Diff(slices.Sorted(slices.Values(names)), slices.Sorted(maps.Keys(rendered))); diff != "" {
		t.Error(diff)
	}
	for name, r := range rendered {
		if want := "/docs/alerts.md#" + strings.ToLower(name); !strings.HasSuffix(r.Annotations["runbook_url"], want) {
			t.Errorf("%s: the runbook is %q, want one that ends in %s", name, r.Annotations["runbook_url"], want)
		}
	}
}

// TestAlertsAreTestedBothWays: each alert has a case in which it fires and one in which it doesn't
// (make lint-chart runs them).
func TestAlertsAreTestedBothWays(t *testing.T) {
	t.Parallel()
	var file struct {
		Tests []struct {
			Cases []struct {
				Alert string `json:"alertname"`
				Fires []any  `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		} `json:"tests"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "test/chart/testdata/alerts.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, c := range test.Cases {
			fires[c.Alert] = fires[c.Alert] || len(c.Fires) > 0
			silent[c.Alert] = silent[c.Alert] || len(c.Fires) == 0
		}
	}
	for _, r := range alertsOfTheFile(t) {
		if !fires[r.Alert] || !silent[r.Alert] {
			t.Errorf("test/chart/testdata/alerts.yaml: %s needs a case in which it fires (has one: %v) and one in which it doesn't (has one: %v)",
				r.Alert, fires[r.Alert], silent[r.Alert])
		}
	}
}

// TestTableOfAlerts: the table of docs/alerts.md shows what can be set.
func TestTableOfAlerts(t *testing.T) {
	t.Parallel()
	page := read(t, "docs/alerts.md")
	for _, r := range alertsOfTheFile(t) {
		number := strings.Trim(threshold.FindString(r.Expr), "()")
		row := fmt.Sprintf(
			"\n| [%s](#%s) | %s | %s | %s", r.Alert, strings.ToLower(r.Alert), r.Labels["severity"], r.For, number,
		)
		if !strings.Contains(page, row) {
			t.Errorf("docs/alerts.md lacks the row %q", row[1:])
		}
	}
}
