package chart

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"

	"github.com/gearman-operator/gearman-operator/internal/autoscaler"
	"github.com/gearman-operator/gearman-operator/internal/backlog/exporter"
)

// dashboard is the part of a Grafana dashboard that the tests check.
type dashboard struct {
	UID         string `json:"uid"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Annotations struct {
		List []struct {
			Name       string     `json:"name"`
			Expr       string     `json:"expr"`
			Datasource datasource `json:"datasource"`
		} `json:"list"`
	} `json:"annotations"`
	Links []struct {
		URL string `json:"url"`
	} `json:"links"`
	Templating struct {
		List []struct {
			Name  string `json:"name"`
			Query any    `json:"query"`
		} `json:"list"`
	} `json:"templating"`
	Panels []panel `json:"panels"`
}

type datasource struct {
	UID string `json:"uid"`
}

type panel struct {
	ID          int    `json:"id"`
	Type        string `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
	GridPos     struct{ H, W, X, Y int }
	FieldConfig struct {
		Defaults struct {
			Unit       string `json:"unit"`
			Thresholds *struct {
				Steps []any `json:"steps"`
			} `json:"thresholds"`
			Mappings []any `json:"mappings"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	Targets []struct {
		Expr       string     `json:"expr"`
		Datasource datasource `json:"datasource"`
	} `json:"targets"`
}

const dashboardDir = "charts/gearman-operator/files/dashboards"

func dashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	files, err := filepath.Glob(root + "/" + dashboardDir + "/*.json")
	if err != nil || len(files) != 3 {
		t.Fatalf("%v, dashboards: %v", err, files)
	}
	all := map[string]dashboard{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(data, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[filepath.Base(file)] = d
	}
	return all
}

// TestDashboards: the dashboards are in the ConfigMap unchanged, and link to each other.
func TestDashboards(t *testing.T) {
	t.Parallel()
	all := dashboards(t)
	config := find[corev1.ConfigMap](t, render(t, "--set", "dashboard.enabled=true"), "ConfigMap", "")
	if config.Labels["grafana_dashboard"] != "1" || len(config.Data) != len(all) {
		t.Errorf("labels %v, %d files", config.Labels, len(config.Data))
	}
	uids := map[string]bool{}
	for file, d := range all {
		var inChart, inTree any
		source := read(t, dashboardDir+"/"+file)
		if err := json.Unmarshal([]byte(config.Data["gearman-"+file]), &inChart); err != nil {
			t.Fatalf("%s in the ConfigMap: %v", file, err)
		}
		if err := json.Unmarshal([]byte(source), &inTree); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(inTree, inChart); diff != "" {
			t.Errorf("%s changes on its way into the ConfigMap:\n%s", file, diff)
		}
		uids[d.UID] = true
		if d.Title == "" || d.Description == "" || len(d.Annotations.List) == 0 || len(d.Links) < 2 {
			t.Errorf("%s needs a title, a description, annotations and links", file)
		}
	}
	toDashboard := regexp.MustCompile(`/d/([a-z-]+)[?]`)
	for file := range all {
		links := toDashboard.FindAllStringSubmatch(read(t, dashboardDir+"/"+file), -1)
		for _, link := range links {
			if !uids[link[1]] {
				t.Errorf("%s links to the dashboard %s, which does not exist", file, link[1])
			}
		}
		if len(links) < len(all)-1 {
			t.Errorf("%s does not link to the other dashboards", file)
		}
	}
}

// TestPanels: each panel has a description, a unit and a place of its own, and queries the chosen
// data source.
func TestPanels(t *testing.T) {
	t.Parallel()
	kinds := map[string]int{}
	for file, d := range dashboards(t) {
		ids := map[int]string{}
		for i := range d.Panels {
			p := &d.Panels[i]
			kinds[p.Type]++
			if other, taken := ids[p.ID]; taken {
				t.Errorf("%s: panels %q and %q have one id", file, other, p.Title)
			}
			ids[p.ID] = p.Title
			if p.Type == "row" {
				continue
			}
			f := &p.FieldConfig.Defaults
			if p.Title == "" || p.Description == "" || len(p.Targets) == 0 || f.Unit == "" {
				t.Errorf("%s: panel %q needs a title, a description, a query and a unit", file, p.Title)
			}
			if p.Type == "stat" && (f.Thresholds == nil || len(f.Thresholds.Steps) == 0) ||
				p.Type == "state-timeline" && len(f.Mappings) == 0 {
				t.Errorf("%s: panel %q needs thresholds, or mappings of its values", file, p.Title)
			}
			for _, target := range p.Targets {
				if target.Datasource.UID != "${datasource}" {
					t.Errorf("%s: panel %q has a data source of its own: %s", file, p.Title, target.Datasource.UID)
				}
			}
			for j := range i {
				if o := &d.Panels[j]; o.GridPos.X < p.GridPos.X+p.GridPos.W && p.GridPos.X < o.GridPos.X+o.GridPos.W &&
					o.GridPos.Y < p.GridPos.Y+p.GridPos.H && p.GridPos.Y < o.GridPos.Y+o.GridPos.H {
					t.Errorf("%s: panels %q and %q overlap", file, o.Title, p.Title)
				}
			}
			if p.GridPos.X+p.GridPos.W > 24 {
				t.Errorf("%s: panel %q is beyond the edge", file, p.Title)
			}
		}
	}
	for kind, least := range map[string]int{
		"heatmap": 2, "state-timeline": 3, "stat": 12, "table": 1, "timeseries": 12,
	} {
		if kinds[kind] < least {
			t.Errorf("%d panels of the kind %s, want %d at least", kinds[kind], kind, least)
		}
	}
}

// foreignMetrics are the metrics of libraries and of the workers that dashboards use, with the
// labels that matter.
var foreignMetrics = map[string][]string{
	"controller_runtime_reconcile_errors_total": {"controller"},
	"controller_runtime_reconcile_total":        {"controller", "result"},
	"workqueue_depth":                           {"name", "controller", "priority"},
	"rest_client_requests_total":                {"code", "host", "method"},
	"leader_election_master_status":             {"name"},
	"process_resident_memory_bytes":             nil, "process_cpu_seconds_total": nil,
	"gearman_operator_entries": {"kind"},
}

// targetLabels are the labels that Prometheus adds to what it scrapes. The monitor of workers adds
// the pool.
var targetLabels = []string{"instance", "job", "namespace", "pod", "pool"}

var (
	descLabels = regexp.MustCompile(`variableLabels: \{([^}]*)\}`)
	queried    = regexp.MustCompile(`\b((?:gearman|controller_runtime|workqueue|rest_client|leader_election|process)_[a-z_]+)\b(?:\{([^}]*)\})?`)
	matched    = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)\s*"`)
	workerName = regexp.MustCompile(`gearman_worker_[a-z_]+`)
)

// metricLabels returns the labels of each metric of the operator, of the libraries' metrics that
// dashboards use, and of the workers' metrics according to docs/runtime.md.
func metricLabels(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	maps.Copy(all, foreignMetrics)
	descs := make(chan *prometheus.Desc, 1000)
	autoscaler.New(nil, autoscaler.Options{}).Describe(descs)
	exporter.New(nil, exporter.Options{}).Describe(descs)
	close(descs)
	for desc := range descs {
		name := fqName.FindStringSubmatch(desc.String())[1]
		all[name] = strings.Split(descLabels.FindStringSubmatch(desc.String())[1], ",")
	}
	for _, name := range workerName.FindAllString(read(t, "docs/runtime.md"), -1) {
		all[name] = []string{"function", "result", "reason", "state", "attempt", "server"}
	}
	return all
}

// TestQueriesOfTheDashboards: every query of the dashboards names metrics and labels that exist.
// make lint-chart parses the queries with promtool.
func TestQueriesOfTheDashboards(t *testing.T) {
	t.Parallel()
	known := metricLabels(t)
	check := func(where, expr string) {
		t.Helper()
		found := queried.FindAllStringSubmatch(expr, -1)
		if len(found) == 0 {
			t.Errorf("%s names no metric: %s", where, expr)
		}
		for _, match := range found {
			name := match[1]
			labels, ok := known[name]
			if base := histogramPart.ReplaceAllString(name, ""); !ok && base != name {
				if labels, ok = known[base]; ok {
					labels = append(slices.Clone(labels), "le")
				}
			}
			if !ok {
				t.Errorf("%s asks for %s, which does not exist", where, name)
				continue
			}
			for _, label := range matched.FindAllStringSubmatch(match[2], -1) {
				if !slices.Contains(labels, label[1]) && !slices.Contains(targetLabels, label[1]) {
					t.Errorf("%s: %s has no label %s; it has %v", where, name, label[1], labels)
				}
			}
			if strings.HasPrefix(name, "gearman_pool_") && !strings.HasPrefix(match[2], `namespace=~"$namespace",pool=~"$pool"`) && !strings.Contains(expr, "label_values") {
				t.Errorf("%s: %s is not held to the chosen pools", where, name)
			}
		}
	}
	queries := 0
	for file, d := range dashboards(t) {
		for i := range d.Panels {
			for _, target := range d.Panels[i].Targets {
				queries++
				check(file+": panel "+d.Panels[i].Title, target.Expr)
			}
		}
		for _, a := range d.Annotations.List {
			check(file+": annotation "+a.Name, a.Expr)
		}
		for _, v := range d.Templating.List {
			if query, ok := v.Query.(map[string]any); ok {
				check(file+": variable "+v.Name, query["query"].(string))
			}
		}
	}
	if queries < 40 {
		t.Errorf("%d queries found only", queries)
	}
}
