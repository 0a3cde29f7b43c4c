package play

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/gearman-operator/gearman-operator/test/cluster"
)

// watch follows one batch of jobs from submission until the pool is back at zero.
type watch struct {
	stage *cluster.Stage
	out   io.Writer
	jobs  []cluster.Job

	begin   time.Time
	peak    int // replicas
	final   int
	total   time.Duration
	mark    string
	samples []sample
}

// sample is one row of the table.
type sample struct {
	at                           time.Duration
	queued, running, done        int
	replicas, ready, terminating int
}

const (
	header = "   time  queued  running     done  replicas  ready  ending  why"
	every  = 2 * time.Second
)

func (w *watch) submit(ctx context.Context) error {
	w.mark = "submitted-" + w.jobs[0].ID
	if err := w.stage.Note(ctx, w.mark); err != nil {
		return err
	}
	w.begin = time.Now()
	if err := w.stage.Submit(ctx, w.jobs); err != nil {
		return err
	}
	var work time.Duration
	for _, j := range w.jobs {
		work += j.Long
	}
	fmt.Fprintf(w.out, "Submitted %d jobs, %.0f s of work for one worker.\n\n%s\n", len(w.jobs), work.Seconds(), header)
	return nil
}

// untilZero prints a row every two seconds until nothing is queued or running and the last pod is
// gone. That does not mean that all jobs completed.
func (w *watch) untilZero(ctx context.Context) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		s, why, err := w.look(ctx)
		if err != nil {
			fmt.Fprintf(w.out, "%7.0f  %v\n", time.Since(w.begin).Seconds(), err) // one error is no reason to stop
		} else {
			fmt.Fprintf(w.out, "%6.0fs  %6d  %7d  %7d  %8d  %5d  %6d  %s\n",
				s.at.Seconds(), s.queued, s.running, s.done, s.replicas, s.ready, s.terminating, why)
			w.samples = append(w.samples, s)
			w.peak, w.final, w.total = max(w.peak, s.replicas), s.replicas, s.at
			if s.queued+s.running+s.replicas+s.ready+s.terminating == 0 {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("gave up after %.0f s: %w", time.Since(w.begin).Seconds(), context.Cause(ctx))
		case <-tick.C:
		}
	}
}

func (w *watch) look(ctx context.Context) (s sample, why string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	q, err := w.stage.Queue(ctx)
	if err != nil {
		return s, "", err
	}
	runs, err := w.stage.Runs(ctx)
	if err != nil {
		return s, "", err
	}
	workers, err := w.stage.Workers(ctx)
	if err != nil {
		return s, "", err
	}
	pool, err := w.stage.Pool(ctx)
	if err != nil {
		return s, "", err
	}
	return sample{
		at: time.Since(w.begin), queued: q.Queued, running: q.Running, done: cluster.CountRuns(w.jobs, runs).Completed,
		replicas: workers.Replicas, ready: workers.Ready, terminating: workers.Terminating,
	}, pool.Status.Decision.Reason, nil
}
