// Package series is the table of the metrics of job servers and their functions: their names, and
// what they are made of. The operator's exporter and gearmanctl both serve it, each in its own way;
// it imports no metrics library.
package series

import (
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/boolean"
)

// Metric is one metric of each S, a job server or a function on one.
type Metric[S any] struct {
	Name, Help string
	Labels     []string // beside those that name the S
	Counter    bool     // otherwise it is a gauge
	// Values emits the series of one S at a time, with the values of Labels.
	Values func(s *S, now time.Time, emit func(value float64, labels ...string))
}

// The labels that name a job server, and a function on one.
var (
	ServerLabels   = []string{"server"}
	FunctionLabels = []string{"function", "server"}
)

// ServerNames are the values of ServerLabels.
func ServerNames(s *backlog.ServerStats) []string { return []string{s.Address} }

// FunctionNames are the values of FunctionLabels.
func FunctionNames(f *backlog.FunctionStats) []string { return []string{Label(f.Name), f.Server} }

// Limits of the series that are served of job servers and of functions, and about how many each of
// them has.
const (
	Most        = 10_000
	PerServer   = 11
	PerFunction = 4
)

// Dropped is the metric of series that are left out.
const (
	Dropped     = "gearman_series_dropped"
	DroppedHelp = "Series that are left out because they exceed the limit."
)

func server(name, help string, value func(*backlog.ServerStats) float64) Metric[backlog.ServerStats] {
	return Metric[backlog.ServerStats]{
		Name: "gearman_server_" + name, Help: help,
		Values: func(s *backlog.ServerStats, _ time.Time, emit func(float64, ...string)) { emit(value(s)) },
	}
}

func serverCounter(name, help string, value func(*backlog.ServerStats) float64) Metric[backlog.ServerStats] {
	m := server(name, help, value)
	m.Counter = true
	return m
}

// answered is m without the series of job servers that have not answered: a pool may name hundreds
// of those, and zeros would say nothing of them.
func answered(m Metric[backlog.ServerStats]) Metric[backlog.ServerStats] {
	emitAll := m.Values
	m.Help += " Unset before the first answer."
	m.Values = func(s *backlog.ServerStats, now time.Time, emit func(float64, ...string)) {
		if s.Polls > 0 {
			emitAll(s, now, emit)
		}
	}
	return m
}

// Servers are the metrics of job servers.
var Servers = []Metric[backlog.ServerStats]{
	{
		Name: "gearman_server_info", Help: "1 for each name by which pools of a namespace name the job server.",
		Labels: []string{"namespace", "name"},
		Values: func(s *backlog.ServerStats, _ time.Time, emit func(float64, ...string)) {
			for _, n := range s.Names {
				emit(1, Label(n.Namespace), Label(n.Name))
			}
		},
	},
	server("up", "Whether the last poll of the job server was answered.",
		func(s *backlog.ServerStats) float64 { return boolean.Float(s.Up) }),
	{
		Name: "gearman_server_state", Help: "1 for the state that the job server is in.", Labels: []string{"state"},
		Values: func(s *backlog.ServerStats, _ time.Time, emit func(float64, ...string)) { emit(1, string(s.State)) },
	},
	{
		Name: "gearman_server_answer_age_seconds", Help: "Age of the last good answer; unset if there was none.",
		Values: func(s *backlog.ServerStats, now time.Time, emit func(float64, ...string)) {
			if !s.LastGood.IsZero() {
				emit(now.Sub(s.LastGood).Seconds())
			}
		},
	},
	answered(server("poll_duration_seconds", "How long the last answered poll took.",
		func(s *backlog.ServerStats) float64 { return s.LastPollTime.Seconds() })),
	{
		Name: "gearman_server_polls_total", Help: "Polls, by whether they were answered.", Labels: []string{"result"},
		Counter: true,
		Values: func(s *backlog.ServerStats, _ time.Time, emit func(float64, ...string)) {
			emit(float64(s.Polls), "answered")
			emit(float64(s.Failures), "failed")
		},
	},
	answered(serverCounter("poll_seconds_total", "Time spent on answered polls.",
		func(s *backlog.ServerStats) float64 { return s.PollTime.Seconds() })),
	serverCounter("requests_total", "Requests sent to the job server.",
		func(s *backlog.ServerStats) float64 { return float64(s.Requests) }),
	serverCounter("received_bytes_total", "Bytes of the job server's answers.",
		func(s *backlog.ServerStats) float64 { return float64(s.Bytes) }),
	answered(server("load_balanced", "1 if the address leads to different job servers.",
		func(s *backlog.ServerStats) float64 { return boolean.Float(s.LoadBalanced) })),
}

// Functions are the metrics of functions on one job server.
var Functions = []Metric[backlog.FunctionStats]{
	{
		Name:   "gearman_function_jobs",
		Help:   "Jobs of the function by state; queued ones include delayed, cancelled and abandoned jobs.",
		Labels: []string{"state"},
		Values: func(f *backlog.FunctionStats, _ time.Time, emit func(float64, ...string)) {
			emit(float64(f.Queued), "queued")
			emit(float64(f.Running), "running")
		},
	},
	{
		Name: "gearman_function_workers", Help: "Registrations of the function: a worker counts on each job server.",
		Values: func(f *backlog.FunctionStats, _ time.Time, emit func(float64, ...string)) { emit(float64(f.Workers)) },
	},
	{
		Name: "gearman_function_pools", Help: "Pools whose function it is; 0 if no pool has it.",
		Values: func(f *backlog.FunctionStats, _ time.Time, emit func(float64, ...string)) { emit(float64(f.Pools)) },
	},
}

// Label makes a label's value of a name, which may hold any byte. Names that differ have labels
// that differ: what is quoted starts with a quote, and nothing else does.
func Label(name string) string {
	if utf8.ValidString(name) && (name == "" || name[0] != '"') {
		return name
	}
	return strconv.Quote(name)
}
