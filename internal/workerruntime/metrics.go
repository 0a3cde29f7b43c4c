package workerruntime

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/worker"
	"github.com/gearman-operator/gearman-operator/internal/boolean"
	"github.com/gearman-operator/gearman-operator/internal/version"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/breaker"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/process"
)

// The results of a job, as a label.
const (
	resultCompleted    = "completed"
	resultFailed       = "failed"
	resultRetried      = "retried"       // failed, and submitted again for its next attempt
	resultDeadLettered = "dead_lettered" // failed, and submitted to the dead letter function
	resultRequeued     = "requeued"      // by this worker
	resultLost         = "lost"          // the connection to the job server was lost before the outcome was sent
)

// buckets are the upper bounds of the histogram of job durations, in seconds: from a quick lookup
// to a report that takes an hour.
var buckets = [...]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600}

// metrics counts jobs and writes them in Prometheus' text format. The format is written by hand:
// the client library would double the memory of an idle worker, for a dozen lines of output. A test
// reads the output with Prometheus' own parser.
type metrics struct {
	began time.Time

	mu        sync.Mutex
	functions map[string]*functionMetrics
}

type functionMetrics struct {
	busy    int
	ends    map[jobEnd]uint64
	retries map[retry]uint64
	buckets [len(buckets) + 1]uint64 // the last: above all bounds
	seconds float64
}

// retry is an attempt that was submitted for a reason.
type retry struct {
	attempt int
	reason  job.Reason
}

type jobEnd struct {
	result string
	reason job.Reason
}

func newMetrics(functions []string) *metrics {
	m := &metrics{began: time.Now(), functions: make(map[string]*functionMetrics)}
	for _, f := range functions {
		// A counter that exists from the start, at 0, lets rate() see the first failure.
		m.functions[f] = &functionMetrics{
			ends: map[jobEnd]uint64{{resultCompleted, job.OK}: 0}, retries: map[retry]uint64{},
		}
	}
	return m
}

func (m *metrics) started(function string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.functions[function].busy++
}

func (m *metrics) ended(function, result string, reason job.Reason, took time.Duration) {
	s := took.Seconds()
	i, _ := slices.BinarySearch(buckets[:], s)
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.functions[function]
	f.busy--
	f.ends[jobEnd{result, reason}]++
	f.buckets[i]++
	f.seconds += s
}

func (m *metrics) retried(function string, attempt int, reason job.Reason) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.functions[function].retries[retry{attempt, reason}]++
}

// write writes all metrics.
func (m *metrics) write(
	w io.Writer, concurrency int, ready, draining bool, status worker.Status, handlers []*handler,
) error {
	e := &exposition{}
	e.family("gearman_worker_build_info", "gauge", "The version of the worker runtime, as a label.")
	e.sample("gearman_worker_build_info", 1, "version", version.Version)
	e.family("gearman_worker_concurrency", "gauge", "Jobs that this worker runs at a time, at most.")
	e.sample("gearman_worker_concurrency", float64(concurrency))
	e.family("gearman_worker_ready", "gauge", "1 once the worker has registered with a job server and is not draining.")
	e.sample("gearman_worker_ready", boolean.Float(ready))
	e.family("gearman_worker_draining", "gauge", "1 while the worker takes no more jobs.")
	e.sample("gearman_worker_draining", boolean.Float(draining))
	m.writeJobs(e)
	writeBreakers(e, handlers)
	writeServers(e, status)
	e.family("process_start_time_seconds", "gauge", "Start time of the process since the Unix epoch in seconds.")
	e.sample("process_start_time_seconds", float64(m.began.UnixMilli())/1000)
	if rss, ok := residentBytes(); ok {
		e.family(
			"process_resident_memory_bytes", "gauge", "Resident memory size in bytes, without the processes of jobs.",
		)
		e.sample("process_resident_memory_bytes", rss)
	}
	_, err := w.Write(e.buf.Bytes())
	return err
}

func (m *metrics) writeJobs(e *exposition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := slices.Sorted(maps.Keys(m.functions))
	e.family("gearman_worker_busy", "gauge", "Jobs that are running.")
	for _, name := range names {
		e.sample("gearman_worker_busy", float64(m.functions[name].busy), "function", name)
	}
	m.writeEnds(e, names)
	m.writeRetries(e, names)
	m.writeDurations(e, names)
}

func (m *metrics) writeEnds(e *exposition, names []string) {
	e.family(
		"gearman_worker_jobs_total", "counter",
		"Jobs that ended, by result (completed, failed, retried, dead_lettered, requeued, lost) and reason.",
	)
	for _, name := range names {
		ends := m.functions[name].ends
		keys := slices.SortedFunc(maps.Keys(ends), func(a, b jobEnd) int {
			return strings.Compare(a.result+"/"+string(a.reason), b.result+"/"+string(b.reason))
		})
		for _, k := range keys {
			e.sample(
				"gearman_worker_jobs_total", float64(ends[k]), "function", name, "result", k.result, "reason",
				string(k.reason),
			)
		}
	}
}

func (m *metrics) writeRetries(e *exposition, names []string) {
	e.family(
		"gearman_worker_retries_total", "counter",
		"Attempts that were submitted after a failure, by their number and the reason.",
	)
	for _, name := range names {
		retries := m.functions[name].retries
		keys := slices.SortedFunc(maps.Keys(retries), func(a, b retry) int {
			return cmp.Or(cmp.Compare(a.attempt, b.attempt), strings.Compare(string(a.reason), string(b.reason)))
		})
		for _, k := range keys {
			e.sample(
				"gearman_worker_retries_total", float64(retries[k]), "function", name, "attempt",
				strconv.Itoa(k.attempt), "reason", string(k.reason),
			)
		}
	}
}

func (m *metrics) writeDurations(e *exposition, names []string) {
	const duration = "gearman_worker_job_duration_seconds"
	e.family(duration, "histogram", "Time from a job's start until its outcome was sent.")
	for _, name := range names {
		f := m.functions[name]
		sum := uint64(0)
		for i, bound := range buckets {
			sum += f.buckets[i]
			e.sample(duration+"_bucket", float64(sum), "function", name, "le", strconv.FormatFloat(bound, 'g', -1, 64))
		}
		sum += f.buckets[len(buckets)]
		e.sample(duration+"_bucket", float64(sum), "function", name, "le", "+Inf")
		e.sample(duration+"_sum", f.seconds, "function", name)
		e.sample(duration+"_count", float64(sum), "function", name)
	}
}

var breakerStates = []breaker.State{breaker.Closed, breaker.Single, breaker.Open, breaker.Half, breaker.Failing}

func writeBreakers(e *exposition, handlers []*handler) {
	e.family(
		"gearman_worker_breaker", "gauge", "1 for the present state of a function's breaker; closed: jobs are taken.",
	)
	for _, h := range handlers {
		state, _, _ := h.guard.view()
		for _, f := range h.Functions {
			for _, s := range breakerStates {
				e.sample("gearman_worker_breaker", boolean.Float(s == state), "function", f, "state", s.String())
			}
		}
	}
}

func writeServers(e *exposition, status worker.Status) {
	e.family("gearman_worker_connected_servers", "gauge", "Job servers with at least one registered connection.")
	e.sample("gearman_worker_connected_servers", float64(status.Connected))
	e.family(
		"gearman_worker_connections", "gauge", "Registered connections to a job server, out of one for each slot.",
	)
	for _, s := range status.Servers {
		e.sample("gearman_worker_connections", float64(s.Registered), "server", s.Server)
	}
	e.family(
		"gearman_worker_reconnects_total", "counter",
		"Connections to a job server that were lost, and attempts that failed.",
	)
	for _, s := range status.Servers {
		e.sample("gearman_worker_reconnects_total", float64(s.Reconnects), "server", s.Server)
	}
}

// counts returns the jobs of each function by result, for /statusz.
func (m *metrics) counts() map[string]map[string]uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[string]map[string]uint64)
	for name, f := range m.functions {
		c := map[string]uint64{"busy": uint64(f.busy)}
		for k, n := range f.ends {
			c[k.result] += n
		}
		out[name] = c
	}
	return out
}

// residentBytes reads the process's resident memory.
func residentBytes() (float64, bool) {
	size, err := process.Resident(os.Getpid())
	return float64(size), err == nil
}

// exposition builds Prometheus' text format.
type exposition struct{ buf bytes.Buffer }

func (e *exposition) family(name, kind, help string) {
	fmt.Fprintf(&e.buf, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

var labelEscape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// sample writes one value; labels are names and values in turn.
func (e *exposition) sample(name string, v float64, labels ...string) {
	e.buf.WriteString(name)
	for i := 0; i < len(labels); i += 2 {
		e.buf.WriteByte("{,"[min(i, 1)])
		// Function names may contain any bytes; the format is UTF-8.
		fmt.Fprintf(&e.buf, `%s="%s"`, labels[i], labelEscape.Replace(strings.ToValidUTF8(labels[i+1], "\uFFFD"))) //nolint:gosec // they come in pairs
	}
	if len(labels) > 0 {
		e.buf.WriteByte('}')
	}
	e.buf.WriteByte(' ')
	e.buf.WriteString(strconv.FormatFloat(v, 'g', -1, 64))
	e.buf.WriteByte('\n')
}
