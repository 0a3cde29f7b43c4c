package cluster

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Run is one execution of a job, as the job recorded it itself.
type Run struct {
	ID    string
	Pod   string
	Start time.Time
	End   time.Time // zero while it runs, or if it was interrupted
}

// Runs returns all executions since the stage was set up, by the ledger's clock, in the order of
// their starts.
func (s *Stage) Runs(ctx context.Context) ([]Run, error) {
	lines, err := s.API.CoreV1().Services(s.Namespace).ProxyGet("http", "ledger", "8080", "/", nil).DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	return parseRuns(lines)
}

// Note records a run of our own that starts and ends now: a mark on the ledger's clock.
func (s *Stage) Note(ctx context.Context, id string) error {
	for _, what := range []string{"start", "end"} {
		err := s.API.CoreV1().RESTClient().Post().Namespace(s.Namespace).Resource("services").Name(
			"ledger:8080",
		).SubResource("proxy").
			Body([]byte(what + " " + id + " - -")).Do(ctx).Error()
		if err != nil {
			return fmt.Errorf("writing to the ledger: %w", err)
		}
	}
	return nil
}

// parseRuns reads lines "MILLISECONDS start|end ID POD/PROCESS HANDLE". The process distinguishes
// the runs of one job in one pod. A line may occur twice, since a job writes it again if it got no
// answer.
func parseRuns(lines []byte) ([]Run, error) {
	var runs []Run
	seen := map[[2]string]int{} // index in runs by ID and POD/PROCESS
	for line := range bytes.Lines(lines) {
		f := strings.Fields(string(line))
		if len(f) < 4 {
			return nil, fmt.Errorf("ledger: line %q has too few words", line)
		}
		ms, err := strconv.ParseInt(f[0], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("ledger: line %q: %w", line, err)
		}
		at, key := time.UnixMilli(ms), [2]string{f[2], f[3]}
		i, started := seen[key]
		switch {
		case f[1] != "start" && f[1] != "end":
			return nil, fmt.Errorf("ledger: line %q is neither a start nor an end", line)
		case f[1] == "end" && !started:
			return nil, fmt.Errorf("ledger: line %q ends what never started", line)
		case f[1] == "end" && runs[i].End.IsZero():
			runs[i].End = at
		case f[1] == "start" && !started:
			pod, _, _ := strings.Cut(f[3], "/")
			seen[key] = len(runs)
			runs = append(runs, Run{ID: f[2], Pod: pod, Start: at})
		}
	}
	return runs, nil
}

// Count is what the runs show about the submitted jobs.
type Count struct {
	Completed   int // ran to the end at least once
	Lost        int // never ran to the end
	RunTwice    int // started more than once
	Interrupted int // runs that did not reach their end
}

// CountRuns compares the jobs with the runs. Runs of other jobs are ignored.
func CountRuns(jobs []Job, runs []Run) Count {
	type tally struct{ starts, ends int }
	seen := make(map[string]*tally, len(jobs))
	for _, j := range jobs {
		seen[j.ID] = &tally{}
	}
	var c Count
	for _, r := range runs {
		t := seen[r.ID]
		if t == nil {
			continue
		}
		t.starts++
		if r.End.IsZero() {
			c.Interrupted++
		} else {
			t.ends++
		}
	}
	for _, t := range seen {
		if t.ends > 0 {
			c.Completed++
		} else {
			c.Lost++
		}
		if t.starts > 1 {
			c.RunTwice++
		}
	}
	return c
}
