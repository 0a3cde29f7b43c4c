package cli

import (
	"cmp"
	"encoding/csv"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/telemetry"
)

// backlogOf is the state of one function at all job servers together at one moment, in jobs.
type backlogOf struct{ total, running int64 }

// counterKey identifies one function's counters of one worker process.
type counterKey struct {
	uid      telemetry.UID
	start    int64
	function uint32
}

// tracer makes a trace of arriving jobs from polls. A job server reports how many jobs it has, not
// how many arrived: arrivals in an interval are the change of that number plus the jobs that ended
// meanwhile. Workers with telemetry report how many ended, and how long they took; without it this
// is estimated from the running jobs and the given job time.
type tracer struct {
	functions  map[uint32]string
	jobSeconds float64 // for functions without telemetry

	last      time.Duration
	before    map[string]backlogOf
	seen      map[counterKey]telemetry.Counters
	endedJobs map[string]telemetry.Counters // jobs that ended while recording
	estimated map[string]float64            // ended by estimate, less what was counted as whole jobs
	// jobs that left the queue before a worker reported it: their ends are still expected
	ahead map[string]int64
	rows  []arrival
}

// arrival is a number of jobs that arrived up to a moment.
type arrival struct {
	at       time.Duration
	function string
	jobs     int64
}

func newTracer(functions []string, jobSeconds float64) *tracer {
	t := &tracer{
		functions: map[uint32]string{}, jobSeconds: jobSeconds, seen: map[counterKey]telemetry.Counters{},
		endedJobs: map[string]telemetry.Counters{}, estimated: map[string]float64{}, ahead: map[string]int64{},
	}
	for _, f := range functions {
		t.functions[telemetry.FunctionHash(f)] = f
	}
	return t
}

// observe adds one poll of all job servers. The first only sets where counting begins.
func (t *tracer) observe(at time.Duration, now map[string]backlogOf, reports []telemetry.Report) {
	first := t.before == nil
	ended := t.count(reports, first)
	for _, f := range slices.Sorted(maps.Values(t.functions)) {
		if first {
			continue
		}
		done, told := ended[f]
		if !told && t.jobSeconds > 0 {
			t.estimated[f] += float64(t.before[f].running) * (at - t.last).Seconds() / t.jobSeconds
			done = int64(t.estimated[f])
			t.estimated[f] -= float64(done)
		}
		jobs := now[f].total - t.before[f].total + done - t.ahead[f]
		if t.ahead[f] = max(0, -jobs); jobs > 0 {
			t.rows = append(t.rows, arrival{at, f, jobs})
		}
	}
	t.last, t.before = at, now
}

// count returns how many jobs of each function ended since the last poll. It has no functions
// without telemetry.
func (t *tracer) count(reports []telemetry.Report, first bool) map[string]int64 {
	newest := map[counterKey]telemetry.Counters{}
	for _, r := range reports {
		hash := r.Function
		if !r.HasFunction && len(t.functions) == 1 {
			for only := range t.functions {
				hash = only
			}
		}
		if !r.Full || t.functions[hash] == "" {
			continue
		}
		// A worker reports the same on every job server, on some of them a little later.
		key := counterKey{r.UID, r.Start, hash}
		if old, ok := newest[key]; !ok || r.Counters.Ended() > old.Ended() {
			newest[key] = r.Counters
		}
	}
	ended := map[string]int64{}
	for key, c := range newest {
		f := t.functions[key.function]
		old := t.seen[key] // a worker that started while recording began at zero
		if first {
			old = c
		}
		if c.Before(old) { // an older report, from another job server
			ended[f] += 0
			continue
		}
		delta := c.Since(old)
		t.seen[key] = c
		ended[f] += delta.Ended()
		t.endedJobs[f] = t.endedJobs[f].Add(delta)
	}
	return ended
}

// meanSeconds is how long a job of the function took, as measured, or as given if none completed.
func (t *tracer) meanSeconds(function string) float64 {
	if c := t.endedJobs[function]; c.OK > 0 && c.OKMillis > 0 {
		return float64(c.OKMillis) / 1000 / float64(c.OK)
	}
	return cmp.Or(t.jobSeconds, 1)
}

// write writes the trace as CSV, as "simulate" reads it.
func (t *tracer) write(out io.Writer) error {
	w := csv.NewWriter(out)
	rows := make([][]string, 0, 1+len(t.rows))
	rows = append(rows, []string{"time_s", "function", "job_seconds", "count"})
	for _, r := range t.rows {
		rows = append(rows, []string{
			strconv.FormatFloat(r.at.Seconds(), 'f', 3, 64), r.function,
			strconv.FormatFloat(t.meanSeconds(r.function), 'f', 3, 64), strconv.FormatInt(r.jobs, 10),
		})
	}
	return w.WriteAll(rows)
}

// jobs is how many jobs were recorded.
func (t *tracer) jobs() int64 {
	var sum int64
	for _, r := range t.rows {
		sum += r.jobs
	}
	return sum
}
