package kubectlgearman

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"

	"github.com/gearman-operator/gearman-operator/internal/autoscaler"
)

const scrape = `# HELP gearman_pool_queued_jobs Jobs that wait.
# TYPE gearman_pool_queued_jobs gauge
gearman_pool_queued_jobs{namespace="jobs",pool="a"} 12
gearman_pool_queued_jobs{namespace="jobs",pool="b"} 0
# TYPE gearman_pool_running_jobs gauge
gearman_pool_running_jobs{namespace="jobs",pool="a"} 3
# TYPE gearman_pool_oldest_wait_seconds gauge
gearman_pool_oldest_wait_seconds{namespace="jobs",pool="a"} 2.5
# TYPE gearman_pool_job_seconds gauge
gearman_pool_job_seconds{namespace="jobs",pool="a"} 0.25
# TYPE gearman_pool_replicas gauge
gearman_pool_replicas{namespace="jobs",pool="a"} 2
# TYPE gearman_pool_desired_replicas gauge
gearman_pool_desired_replicas{namespace="jobs",pool="a"} 4
# TYPE gearman_pool_ready_replicas gauge
gearman_pool_ready_replicas{namespace="jobs",pool="a"} 1
# TYPE gearman_pool_min_replicas gauge
gearman_pool_min_replicas{namespace="jobs",pool="a"} 0
# TYPE gearman_pool_max_replicas gauge
gearman_pool_max_replicas{namespace="jobs",pool="a"} 10
# TYPE gearman_pool_sample_partial gauge
gearman_pool_sample_partial{namespace="jobs",pool="a"} 1
# TYPE gearman_pool_decision gauge
gearman_pool_decision{namespace="jobs",pool="a",reason="TargetWait"} 1
# TYPE gearman_pool_decision_total counter
gearman_pool_decision_total{namespace="jobs",pool="a",reason="Idle"} 5
# TYPE go_goroutines gauge
go_goroutines 8
`

var (
	rowA = poolRow{
		Namespace: "jobs", Pool: "a", Queued: 12, Running: 3, WaitSeconds: 2.5, JobSeconds: 0.25, Replicas: 2, Desired: 4, Ready: 1, Max: 10,
		Partial: true, Reason: "TargetWait",
	}
	rowB = poolRow{Namespace: "jobs", Pool: "b"}
)

// The leader tells the pools, a replica that stands by tells none.
func TestScrape(t *testing.T) {
	t.Parallel()
	serve := func(status int, body string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			if _, err := w.Write([]byte(body)); err != nil {
				t.Error(err)
			}
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	s := &scraper{urls: []string{serve(200, "# TYPE go_goroutines gauge\ngo_goroutines 7\n"), serve(200, scrape)}}
	rows, err := s.scrape(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]poolRow{rowA, rowB}, arrange(rows, "jobs", "queued")); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}

	for name, url := range map[string]string{
		"not Prometheus": serve(200, "<html>"), "an error": serve(500, ""), "nobody there": "http://127.0.0.1:1",
	} {
		if _, err := (&scraper{urls: []string{url}}).scrape(t.Context()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestArrange(t *testing.T) {
	t.Parallel()
	rows := []poolRow{
		{Namespace: "b", Pool: "x", Queued: 1, Running: 5, WaitSeconds: 2, Replicas: 1},
		{Namespace: "a", Pool: "z", Queued: 1, Running: 6, WaitSeconds: 1, Replicas: 2},
		{Namespace: "a", Pool: "y", Queued: 9, Running: 1, WaitSeconds: 3, Replicas: 3},
	}
	tests := map[string]struct{ namespace, order, want string }{
		"queued":        {order: "queued", want: "y z x"},
		"running":       {order: "running", want: "z x y"},
		"wait":          {order: "wait", want: "y x z"},
		"replicas":      {order: "replicas", want: "y z x"},
		"name":          {order: "name", want: "y z x"},
		"one namespace": {namespace: "a", order: "name", want: "y z"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var pools []string
			for _, row := range arrange(rows, tt.namespace, tt.order) {
				pools = append(pools, row.Pool)
			}
			if got := strings.Join(pools, " "); got != tt.want {
				t.Errorf("order = %s, want %s", got, tt.want)
			}
		})
	}
}

// Every metric that the plugin reads is one that the operator has, and the plugin reads the pools' figures wholly from metrics.
func TestMetricsExist(t *testing.T) {
	t.Parallel()
	descs := make(chan *prometheus.Desc, 1000)
	autoscaler.New(nil, autoscaler.Options{}).Describe(descs)
	close(descs)
	var known strings.Builder
	for desc := range descs {
		known.WriteString(desc.String())
	}
	for line := range strings.Lines(scrape) {
		name, ok := strings.CutPrefix(line, "# TYPE ")
		name, _, _ = strings.Cut(name, " ")
		if !ok || !strings.HasPrefix(name, poolMetricPrefix) || strings.HasSuffix(name, "_total") {
			continue
		}
		if !strings.Contains(known.String(), `fqName: "`+name+`"`) {
			t.Errorf("the operator has no metric %s", name)
		}
	}
}

func TestMetricsPort(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{}
	if got := metricsPort(pod); got != 8080 {
		t.Errorf("port = %d", got)
	}
	pod.Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "health", ContainerPort: 1}, {Name: "metrics", ContainerPort: 9090}}}}
	if got := metricsPort(pod); got != 9090 {
		t.Errorf("port = %d", got)
	}
}
