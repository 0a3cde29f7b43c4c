//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/test/cluster"
	"github.com/gearman-operator/gearman-operator/test/dashboards"
)

const (
	scrapeSeconds = 5
	rateSeconds   = 60
	rangeSeconds  = 1800 // longer than the test
)

// TestDashboards: each panel of the dashboards shows something while a Prometheus scrapes the
// operator and the workers of two pools, one of which fails all its jobs. The test draws the
// panels.
func TestDashboards(t *testing.T) {
	t.Parallel()
	binary := os.Getenv("PROMETHEUS")
	if binary == "" {
		t.Skip("PROMETHEUS is not set: make e2e takes it from Debian's package, where there is one")
	}
	p := pools{stage(t), t}
	disturb.RLock() // an operator's counts are lost when it ends
	defer disturb.RUnlock()
	prometheus := startPrometheus(t, binary, p.exporters())
	ctx := within(t, 10*time.Minute)
	// An event before the first scrape does not show as an increase.
	eventually(t, 4*time.Minute, func(ctx context.Context) error {
		first, err := prometheus.query(ctx, "gearman_operator_entries")
		if err == nil && len(first) == 0 {
			err = errors.New("the operator has not been scraped yet")
		}
		return err
	})
	p.apply(ctx, "thumbnails", func(spec map[string]any) { spec["maxReplicas"] = int64(2) })
	p.apply(ctx, "broken", func(spec map[string]any) {
		spec["runtime"] = map[string]any{
			"exec":    map[string]any{"command": []any{"/bin/sh", "-c", "cat >/dev/null; exit 1"}},
			"onCrash": "Fail",
		}
		spec["maxReplicas"] = int64(1)
	})
	p.feed("thumbnails")
	p.feed("broken")
	all, err := dashboards.Load(filepath.Join(cluster.Root(), "charts", "gearman-operator", "files", "dashboards"))
	must(t, err)
	eventually(t, 10*time.Minute, func(ctx context.Context) error {
		if err := prometheus.fill(ctx, all, p.Namespace); err != nil {
			return err
		}
		if empty := dashboards.Empty(all); len(empty) > 0 {
			return fmt.Errorf("%d panels have nothing to show: %s", len(empty), strings.Join(empty, "; "))
		}
		return nil
	})
	dir := filepath.Join(cluster.Root(), "build", "reports", "dashboards")
	must(t, os.MkdirAll(dir, 0o755))
	for i := range all {
		file := filepath.Join(dir, all[i].Name+".svg")
		must(t, os.WriteFile(file, []byte(dashboards.Draw(&all[i])), 0o600))
		t.Logf("drawn: %s", file)
	}
}

// scrapeTarget is an entry of what Prometheus reads from http_sd_configs.
type scrapeTarget struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// exporters serves the metrics of the operator's and the pools' pods to a Prometheus outside the
// cluster, through the API server. /targets lists the pods, with the labels that the chart's
// monitors give them.
func (p pools) exporters() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /targets", func(w http.ResponseWriter, r *http.Request) {
		targets, err := p.targets(r.Context(), r.Host)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(targets) // Prometheus tries again
	})
	mux.HandleFunc("GET /pods/{namespace}/{pod}/{port}", func(w http.ResponseWriter, r *http.Request) {
		pods := p.API.CoreV1().Pods(r.PathValue("namespace"))
		body, err := pods.ProxyGet("http", r.PathValue("pod"), r.PathValue("port"), "/metrics", nil).DoRaw(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = w.Write(body)
	})
	return mux
}

func (p pools) targets(ctx context.Context, host string) ([]scrapeTarget, error) {
	targets := []scrapeTarget{}
	for _, of := range []struct {
		namespace, job, port string
		labels               client.ListOption
	}{
		{cluster.OperatorNamespace, "operator", "8080", client.MatchingLabels(cluster.OperatorLabels)},
		{p.Namespace, "workers", "4790", client.HasLabels{v1alpha1.LabelPool}},
	} {
		var list corev1.PodList
		if err := p.Client.List(ctx, &list, client.InNamespace(of.namespace), of.labels); err != nil {
			return nil, err
		}
		for i := range list.Items {
			pod := &list.Items[i]
			labels := map[string]string{
				"__metrics_path__": "/pods/" + of.namespace + "/" + pod.Name + "/" + of.port, "job": of.job,
				"namespace": of.namespace, "pod": pod.Name, "instance": pod.Name + ":" + of.port,
			}
			if pool := pod.Labels[v1alpha1.LabelPool]; pool != "" {
				labels["pool"] = pool
			}
			targets = append(targets, scrapeTarget{[]string{host}, labels})
		}
	}
	return targets, nil
}

// prometheus is the address of a running Prometheus.
type prometheus string

// startPrometheus starts a Prometheus that scrapes what the exporters list, until the test ends.
func startPrometheus(t *testing.T, binary string, exporters http.Handler) prometheus {
	t.Helper()
	server := httptest.NewServer(exporters)
	t.Cleanup(server.Close)
	dir := t.TempDir()
	config := fmt.Sprintf(`global: {scrape_interval: %ds}
scrape_configs:
  - job_name: all
    honor_labels: true
    http_sd_configs: [{url: "%s/targets", refresh_interval: %ds}]
`, scrapeSeconds, server.URL, scrapeSeconds)
	must(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600))
	addr, err := jobserver.FreeAddr()
	must(t, err)
	log, err := os.Create(filepath.Join(dir, "log"))
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(
		ctx, binary, "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr,
	)
	cmd.Stdout, cmd.Stderr = log, log
	must(t, cmd.Start())
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait() // it was killed
		_ = log.Close()
		if text, err := os.ReadFile(log.Name()); t.Failed() && err == nil {
			t.Logf("Prometheus:\n%s", text)
		}
	})
	up := prometheus(addr)
	eventually(t, 2*time.Minute, func(ctx context.Context) error {
		_, err := up.get(ctx, "/-/ready", nil)
		return err
	})
	return up
}

func (p prometheus) get(ctx context.Context, path string, query url.Values) ([]byte, error) {
	request, err := http.NewRequestWithContext(
		ctx, http.MethodGet, "http://"+string(p)+path+"?"+query.Encode(), http.NoBody,
	)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("prometheus answers %s to %s: %s", response.Status, path, body)
	}
	return body, err
}

// query returns the result of a query over the time of the test.
func (p prometheus) query(ctx context.Context, query string) ([]dashboards.Series, error) {
	now := time.Now().Unix()
	body, err := p.get(ctx, "/api/v1/query_range", url.Values{
		"query": {query}, "start": {strconv.FormatInt(now-rangeSeconds, 10)}, "end": {strconv.FormatInt(now, 10)},
		"step": {strconv.Itoa(scrapeSeconds)},
	})
	if err != nil {
		return nil, err
	}
	return dashboards.ParseRange(body)
}

// fill runs the queries of all panels.
func (p prometheus) fill(ctx context.Context, all []dashboards.Dashboard, namespace string) error {
	for i := range all {
		for k := range all[i].Panels {
			panel := &all[i].Panels[k]
			panel.Series = nil
			for _, target := range panel.Targets {
				query := dashboards.Query(target.Expr, namespace, rateSeconds)
				series, err := p.query(ctx, query)
				if err != nil {
					return fmt.Errorf("%s: panel %s: %s: %w", all[i].Name, panel.Title, query, err)
				}
				panel.Series = append(panel.Series, series...)
			}
		}
	}
	return nil
}
