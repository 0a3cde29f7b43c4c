package play

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/gearman-operator/gearman-operator/test/cluster"
)

// Result has the demo's figures. Jobs are counted by what each run recorded.
type Result struct {
	Submitted       int     `json:"jobs_submitted"`
	Completed       int     `json:"jobs_completed"`
	Lost            int     `json:"jobs_lost"`
	RunTwice        int     `json:"jobs_run_twice"`
	FirstJobStarted float64 `json:"first_job_started_s"`
	LastJobEnded    float64 `json:"last_job_ended_s"`
	PeakReplicas    int     `json:"peak_replicas"`
	FinalReplicas   int     `json:"final_replicas"`
	Total           float64 `json:"total_s"`
}

func (w *watch) result(ctx context.Context) (Result, error) {
	runs, err := w.stage.Runs(ctx)
	if err != nil {
		return Result{}, err
	}
	count := cluster.CountRuns(w.jobs, runs)
	r := Result{
		Submitted: len(w.jobs), Completed: count.Completed, Lost: count.Lost, RunTwice: count.RunTwice,
		PeakReplicas: w.peak, FinalReplicas: w.final, Total: tenth(w.total.Seconds()),
	}
	mine := make(map[string]bool, len(w.jobs))
	for _, j := range w.jobs {
		mine[j.ID] = true
	}
	var mark, first, last cluster.Run
	for _, run := range runs {
		switch {
		case run.ID == w.mark:
			mark = run
		case !mine[run.ID]:
		default:
			if first.ID == "" {
				first = run
			}
			if run.End.After(last.End) {
				last = run
			}
		}
	}
	if first.ID != "" {
		r.FirstJobStarted = tenth(first.Start.Sub(mark.Start).Seconds())
	}
	if last.ID != "" {
		r.LastJobEnded = tenth(last.End.Sub(mark.Start).Seconds())
	}
	return r, nil
}

func tenth(s float64) float64 { return math.Round(s*10) / 10 }

// complaint returns an error if a job was lost or run twice, or pods are left.
func (r Result) complaint() error {
	if r.Lost > 0 || r.RunTwice > 0 || r.FinalReplicas > 0 {
		return fmt.Errorf("%d jobs lost, %d run twice, %d replicas left", r.Lost, r.RunTwice, r.FinalReplicas)
	}
	return nil
}

// report prints the summary and writes it, with the table, to a file.
func (w *watch) report(o Options, r Result) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Demo: %d jobs of %v to %v\n\n", r.Submitted, o.Shortest, o.Longest)
	fmt.Fprintf(
		&b,
		"- %d jobs were completed, %d lost, %d run twice (each run wrote its id down; these are counts of what was written)\n",
		r.Completed, r.Lost, r.RunTwice,
	)
	fmt.Fprintf(
		&b, "- the first job started %.1f s after the submission, from zero workers; the last ended at %.1f s\n",
		r.FirstJobStarted, r.LastJobEnded,
	)
	fmt.Fprintf(&b, "- at most %d replicas; back at %d after %.1f s\n\n", r.PeakReplicas, r.FinalReplicas, r.Total)
	summary := b.String()
	b.WriteString("| seconds | queued | running | done | replicas | ready | ending |\n|---|---|---|---|---|---|---|\n")
	for _, s := range w.samples {
		fmt.Fprintf(
			&b, "| %.0f | %d | %d | %d | %d | %d | %d |\n", s.at.Seconds(), s.queued, s.running, s.done, s.replicas,
			s.ready, s.terminating,
		)
	}
	fmt.Fprintf(&b, "\n    RESULT %s\n", line)
	if err := os.MkdirAll(o.Reports, 0o755); err != nil {
		return err
	}
	file := filepath.Join(o.Reports, "demo.md")
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		return err
	}
	drawing := filepath.Join(o.Reports, "demo.svg")
	if err := w.picture(drawing, o); err != nil {
		return err
	}
	fmt.Fprintf(w.out, "\n%sReport: %s\nPlot: %s\n\nThe cluster stays up to play with:\n  export KUBECONFIG=%s\n  kubectl get gwp -A\nTake it down with: make cluster-down\n\nRESULT %s\n",
		summary, file, drawing, w.stage.Kubeconfig, line)
	return nil
}
