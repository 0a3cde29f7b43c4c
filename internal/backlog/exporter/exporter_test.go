package exporter

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/backlog/series"
)

type source struct {
	servers   []backlog.ServerStats
	functions []backlog.FunctionStats
}

func (s *source) Servers(most int) ([]backlog.ServerStats, int) {
	return s.servers[:min(len(s.servers), most)], max(0, len(s.servers)-most)
}

func (s *source) Functions(most int, _ time.Time) ([]backlog.FunctionStats, int) {
	return s.functions[:min(len(s.functions), most)], max(0, len(s.functions)-most)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	src := &source{
		servers: []backlog.ServerStats{
			{
				Address: "10.0.0.1:4730", Names: []backlog.ServerName{{Namespace: "shop", Name: "jobs:4730"}},
				State: backlog.StateOK, Up: true,
				LastGood: time.Now().Add(-time.Hour), LastPollTime: time.Second, Polls: 5, Failures: 1,
				PollTime: 3 * time.Second, Requests: 7, Bytes: 900, LoadBalanced: true,
			},
			{
				Address: "10.0.0.2:4730", Names: []backlog.ServerName{{Namespace: "shop", Name: "jobs:4730"}},
				State: backlog.StateTimedOut,
			},
		},
		functions: []backlog.FunctionStats{
			{Name: "resize", Server: "10.0.0.1:4730", Total: 5, Running: 2, Queued: 3, Workers: 4, Pools: 2},
			{Name: "bad\xff", Server: "10.0.0.1:4730"},
		},
	}
	c := New(src, Options{})
	want := `
# HELP gearman_function_jobs Jobs of the function by state; queued ones include delayed, cancelled and abandoned jobs.
# TYPE gearman_function_jobs gauge
gearman_function_jobs{function="\"bad\\xff\"",server="10.0.0.1:4730",state="queued"} 0
gearman_function_jobs{function="\"bad\\xff\"",server="10.0.0.1:4730",state="running"} 0
gearman_function_jobs{function="resize",server="10.0.0.1:4730",state="queued"} 3
gearman_function_jobs{function="resize",server="10.0.0.1:4730",state="running"} 2
# HELP gearman_function_pools Pools whose function it is; 0 if no pool has it.
# TYPE gearman_function_pools gauge
gearman_function_pools{function="\"bad\\xff\"",server="10.0.0.1:4730"} 0
gearman_function_pools{function="resize",server="10.0.0.1:4730"} 2
# HELP gearman_function_workers Registrations of the function: a worker counts on each job server.
# TYPE gearman_function_workers gauge
gearman_function_workers{function="\"bad\\xff\"",server="10.0.0.1:4730"} 0
gearman_function_workers{function="resize",server="10.0.0.1:4730"} 4
# HELP gearman_series_dropped Series that are left out because they exceed the limit.
# TYPE gearman_series_dropped gauge
gearman_series_dropped 0
# HELP gearman_server_info 1 for each name by which pools of a namespace name the job server.
# TYPE gearman_server_info gauge
gearman_server_info{name="jobs:4730",namespace="shop",server="10.0.0.1:4730"} 1
gearman_server_info{name="jobs:4730",namespace="shop",server="10.0.0.2:4730"} 1
# HELP gearman_server_load_balanced 1 if the address leads to different job servers. Unset before the first answer.
# TYPE gearman_server_load_balanced gauge
gearman_server_load_balanced{server="10.0.0.1:4730"} 1
# HELP gearman_server_poll_duration_seconds How long the last answered poll took. Unset before the first answer.
# TYPE gearman_server_poll_duration_seconds gauge
gearman_server_poll_duration_seconds{server="10.0.0.1:4730"} 1
# HELP gearman_server_poll_seconds_total Time spent on answered polls. Unset before the first answer.
# TYPE gearman_server_poll_seconds_total counter
gearman_server_poll_seconds_total{server="10.0.0.1:4730"} 3
# HELP gearman_server_polls_total Polls, by whether they were answered.
# TYPE gearman_server_polls_total counter
gearman_server_polls_total{result="answered",server="10.0.0.1:4730"} 5
gearman_server_polls_total{result="answered",server="10.0.0.2:4730"} 0
gearman_server_polls_total{result="failed",server="10.0.0.1:4730"} 1
gearman_server_polls_total{result="failed",server="10.0.0.2:4730"} 0
# HELP gearman_server_received_bytes_total Bytes of the job server's answers.
# TYPE gearman_server_received_bytes_total counter
gearman_server_received_bytes_total{server="10.0.0.1:4730"} 900
gearman_server_received_bytes_total{server="10.0.0.2:4730"} 0
# HELP gearman_server_requests_total Requests sent to the job server.
# TYPE gearman_server_requests_total counter
gearman_server_requests_total{server="10.0.0.1:4730"} 7
gearman_server_requests_total{server="10.0.0.2:4730"} 0
# HELP gearman_server_state 1 for the state that the job server is in.
# TYPE gearman_server_state gauge
gearman_server_state{server="10.0.0.1:4730",state="OK"} 1
gearman_server_state{server="10.0.0.2:4730",state="TimedOut"} 1
# HELP gearman_server_up Whether the last poll of the job server was answered.
# TYPE gearman_server_up gauge
gearman_server_up{server="10.0.0.1:4730"} 1
gearman_server_up{server="10.0.0.2:4730"} 0
`
	var names []string
	for line := range strings.Lines(want) {
		if f := strings.Fields(line); len(f) > 2 && f[1] == "TYPE" {
			names = append(names, f[2])
		}
	}
	if err := testutil.CollectAndCompare(c, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(c, "gearman_server_answer_age_seconds"); n != 1 {
		t.Errorf("%d ages, one server never answered", n)
	}
	if problems, err := testutil.CollectAndLint(c); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

func TestSeriesAreBounded(t *testing.T) {
	t.Parallel()
	src := &source{}
	for i := range 100 {
		src.servers = append(src.servers, backlog.ServerStats{Address: fmt.Sprint(i)})
		src.functions = append(src.functions, backlog.FunctionStats{Name: fmt.Sprint(i), Server: "s"})
	}
	c := New(src, Options{MaxSeries: 60})
	shown, dropped := gather(t, c)
	if shown > 120 || shown < 80 || dropped != 95*series.PerServer+85*series.PerFunction {
		t.Errorf("%d series, %v dropped", shown, dropped)
	}
}

// gather scrapes as /metrics does, where an error is an answer 500, and counts the series.
func gather(t *testing.T, c *Collector) (shown int, dropped float64) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(c)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "gearman_series_dropped" {
			dropped = f.GetMetric()[0].GetGauge().GetValue()
			continue
		}
		shown += len(f.GetMetric())
	}
	return shown, dropped
}

// Names that look alike have series of their own.
func TestLabelsDiffer(t *testing.T) {
	t.Parallel()
	names := []string{"", "bad\xff", `"bad\xff"`, `bad\xff`, `"\"bad\\xff\""`, "\xff", "\ufffd", `"`, `"\""`, "a\n", "a\\n", "\x00"}
	src := &source{}
	for _, n := range names {
		src.functions = append(src.functions, backlog.FunctionStats{Name: n, Server: "s"})
	}
	if shown, dropped := gather(t, New(src, Options{})); shown != len(names)*series.PerFunction || dropped != 0 {
		t.Errorf("%d series of %d functions, %v dropped", shown, len(names), dropped)
	}
}

// A series that cannot be shown, or comes twice, is left out and counted; the scrape goes on.
func TestOneBadSeries(t *testing.T) {
	t.Parallel()
	src := &source{
		servers: []backlog.ServerStats{{Address: "a:1"}, {Address: "a:1"}, {Address: "\xff"}},
		functions: []backlog.FunctionStats{
			{Name: "f", Server: "a:1"}, {Name: "f", Server: "a:1"}, {Name: "g", Server: "\xff"},
		},
	}
	if shown, dropped := gather(t, New(src, Options{})); shown != 6+4 || dropped != 2*6+2*4 {
		t.Errorf("%d series, %v dropped", shown, dropped)
	}
}
