package cluster

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Run is one execution of a job, as it wrote it down itself.
type Run struct {
	ID    string
	Pod   string
	Start time.Time
	End   time.Time // zero while it runs, or where it was interrupted
}

// Runs are all executions since the stage was set up, by the ledger's clock, in the order of their starts.
func (s *Stage) Runs(ctx context.Context) ([]Run, error) {
	lines, err := s.API.CoreV1().Services(s.Namespace).ProxyGet("http", "ledger", "8080", "/", nil).DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	return parseRuns(lines)
}

// Note writes a run of our own that starts and ends now: a mark on the ledger's clock.
func (s *Stage) Note(ctx context.Context, id string) error {
	for _, what := range []string{"start", "end"} {
		err := s.API.CoreV1().RESTClient().Post().Namespace(s.Namespace).Resource("services").Name("ledger:8080").SubResource("proxy").
			Body([]byte(what + " " + id + " - -")).Do(ctx).Error()
		if err != nil {
			return fmt.Errorf("writing to the ledger: %w", err)
		}
	}
	return nil
}

// parseRuns reads lines "MILLISECONDS start|end ID POD HANDLE". An end belongs to the last start of the same job in the same pod.
func parseRuns(lines []byte) ([]Run, error) {
	var runs []Run
	open := map[[2]string]int{}
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
		switch f[1] {
		case "start":
			open[key] = len(runs)
			runs = append(runs, Run{ID: f[2], Pod: f[3], Start: at})
		case "end":
			i, ok := open[key]
			if !ok {
				return nil, fmt.Errorf("ledger: line %q ends what never started", line)
			}
			runs[i].End = at
			delete(open, key)
		default:
			return nil, fmt.Errorf("ledger: line %q is neither a start nor an end", line)
		}
	}
	return runs, nil
}

// Count is what the runs say of the jobs that were submitted.
type Count struct {
	Completed   int // ran to the end at least once
	Lost        int // never ran to the end
	RunTwice    int // were started more than once
	Interrupted int // runs that did not come to their end
}

// CountRuns compares them; runs of other jobs are left out.
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
