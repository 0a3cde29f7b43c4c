package kubectlgearman

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// poolRow is one pool as the operator's metrics show it at this moment.
type poolRow struct {
	Namespace   string  `json:"namespace"`
	Pool        string  `json:"pool"`
	Queued      float64 `json:"queued"`
	Running     float64 `json:"running"`
	WaitSeconds float64 `json:"oldestWaitSeconds"`
	JobSeconds  float64 `json:"jobSeconds"`
	Replicas    float64 `json:"replicas"`
	Desired     float64 `json:"desiredReplicas"`
	Ready       float64 `json:"readyReplicas"`
	Min         float64 `json:"minReplicas"`
	Max         float64 `json:"maxReplicas"`
	Partial     bool    `json:"partial"`
	Reason      string  `json:"reason"`
}

// fill puts one series into the row; it knows the metrics of controllers/metrics.go.
func (r *poolRow) fill(name string, labels map[string]string, value float64) {
	switch strings.TrimPrefix(name, poolMetricPrefix) {
	case "queued_jobs":
		r.Queued = value
	case "running_jobs":
		r.Running = value
	case "oldest_wait_seconds":
		r.WaitSeconds = value
	case "job_seconds":
		r.JobSeconds = value
	case "replicas":
		r.Replicas = value
	case "desired_replicas":
		r.Desired = value
	case "ready_replicas":
		r.Ready = value
	case "min_replicas":
		r.Min = value
	case "max_replicas":
		r.Max = value
	case "sample_partial":
		r.Partial = value != 0
	case "decision":
		if value != 0 {
			r.Reason = labels["reason"]
		}
	}
}

const poolMetricPrefix = "gearman_pool_"

// parsePools reads the pools out of a scrape of the operator's metrics.
func parsePools(metrics io.Reader) ([]poolRow, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(metrics)
	if err != nil {
		return nil, fmt.Errorf("the operator's metrics: %w", err)
	}
	type key struct{ namespace, pool string }
	found := map[key]*poolRow{}
	for name, family := range families {
		if !strings.HasPrefix(name, poolMetricPrefix) || family.GetType() != dto.MetricType_GAUGE {
			continue
		}
		for _, metric := range family.GetMetric() {
			labels := map[string]string{}
			for _, label := range metric.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			k := key{labels["namespace"], labels["pool"]}
			if found[k] == nil {
				found[k] = &poolRow{Namespace: k.namespace, Pool: k.pool}
			}
			found[k].fill(name, labels, metric.GetGauge().GetValue())
		}
	}
	rows := make([]poolRow, 0, len(found))
	for _, row := range found {
		rows = append(rows, *row)
	}
	return rows, nil
}

// operatorLabels are the labels that the chart and config/ give to the operator's pods.
var operatorLabels = client.MatchingLabels{"app.kubernetes.io/part-of": "gearman-operator", "app.kubernetes.io/component": "manager"}

// scraper reads the metrics of the operator's replicas, each over a port-forward of its own. Only the leader knows pools.
type scraper struct {
	http http.Client
	urls []string
	done []func()
}

// newScraper finds the operator and connects to it. namespace "" means all.
func (c *plugin) newScraper(ctx context.Context, api client.Client, namespace string) (*scraper, error) {
	var pods corev1.PodList
	if err := api.List(ctx, &pods, client.InNamespace(namespace), operatorLabels); err != nil {
		return nil, fmt.Errorf("looking for the operator's pods: %w", err)
	}
	s := &scraper{http: http.Client{Transport: &http.Transport{}}}
	var errs []error
	for _, pod := range pods.Items {
		if pod.Status.Phase != corev1.PodRunning {
			continue
		}
		addr, done, err := c.forward(ctx, podPort{pod.Namespace, pod.Name, metricsPort(&pod)})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.urls, s.done = append(s.urls, "http://"+addr+"/metrics"), append(s.done, done)
	}
	if len(s.urls) == 0 {
		errs = append(errs, errors.New("no running pod of the operator found: name its namespace with --operator-namespace"))
		return nil, errors.Join(errs...)
	}
	return s, nil
}

func metricsPort(pod *corev1.Pod) int {
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == "metrics" {
				return int(port.ContainerPort)
			}
		}
	}
	return 8080
}

// scrape returns the pools that the operator knows.
func (s *scraper) scrape(ctx context.Context) ([]poolRow, error) {
	var all []poolRow
	for _, url := range s.urls {
		rows, err := s.scrapeOne(ctx, url)
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
	}
	return all, nil
}

func (s *scraper) scrapeOne(ctx context.Context, url string) ([]poolRow, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := s.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the operator's metrics: %s", response.Status)
	}
	return parsePools(response.Body)
}

func (s *scraper) close() {
	s.http.CloseIdleConnections()
	for _, done := range s.done {
		done()
	}
}
