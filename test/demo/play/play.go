package play

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/gearman-operator/gearman-operator/test/cluster"
)

// Options are the options of the demo.
type Options struct {
	Jobs              int
	Shortest, Longest time.Duration
	Namespace         string
	Image, Archive    string
	Reports           string
	Timeout           time.Duration
}

func (o Options) validate() error {
	switch {
	case o.Jobs < 1:
		return fmt.Errorf("-jobs %d: submit at least one", o.Jobs)
	case o.Shortest < 0 || o.Longest < o.Shortest:
		return fmt.Errorf(
			"-shortest %v, -longest %v: the shortest must not be below 0 or above the longest", o.Shortest, o.Longest,
		)
	}
	return nil
}

// Run runs the demo and writes its progress to out; the last line is RESULT with the figures as
// JSON. An error means that it did not reach its end, or that a job was lost or run twice.
func Run(ctx context.Context, out io.Writer, o Options) error {
	if err := o.validate(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	c, err := cluster.Connect()
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "Installing the operator by its Helm chart ...")
	if err := c.InstallOperator(ctx, o.Image, o.Archive); err != nil {
		return err
	}
	fmt.Fprintf(out, "Setting up a job server in namespace %s ...\n", o.Namespace)
	stage, err := c.NewStage(ctx, o.Namespace)
	if err != nil {
		return fmt.Errorf("setting up the job server: %w", err)
	}
	if err := c.ApplyFile(ctx, "examples/reverse.yaml", nil); err != nil {
		return err
	}
	// Jobs that an earlier, interrupted demo has left are processed first. Otherwise they would be
	// counted with ours.
	if err := settle(ctx, stage); err != nil {
		return err
	}
	w := &watch{stage: stage, out: out, jobs: jobs(o)}
	if err := w.submit(ctx); err != nil {
		return err
	}
	err = w.untilZero(ctx)
	// The figures are useful even if the demo did not reach its end.
	final, cancelFinal := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancelFinal()
	result, countErr := w.result(final)
	if countErr != nil {
		return errors.Join(err, countErr)
	}
	if err != nil {
		fmt.Fprintln(out, stage.Describe(final))
	}
	return errors.Join(err, w.report(o, result), result.complaint())
}

// jobs draws each job's duration evenly between the bounds, the same on each run, with ids of their
// own.
func jobs(o Options) []cluster.Job {
	draw := rand.New(rand.NewPCG(1, 2))
	run := time.Now().UTC().Format("150405")
	list := make([]cluster.Job, o.Jobs)
	for i := range list {
		long := o.Shortest + time.Duration(draw.Int64N(int64(o.Longest-o.Shortest)+1))
		list[i] = cluster.Job{ID: fmt.Sprintf("%s-%04d", run, i), Long: long, Text: "namraeg no setenrebuK"}
	}
	return list
}

// settle waits until the queue is empty and the pool at zero.
func settle(ctx context.Context, stage *cluster.Stage) error {
	return cluster.Wait(ctx, func(ctx context.Context) error {
		q, err := stage.Queue(ctx)
		if err != nil {
			return err
		}
		workers, err := stage.Workers(ctx)
		if err != nil {
			return err
		}
		if q != (cluster.Queue{}) || workers.Replicas > 0 || len(workers.Pods) > 0 {
			return fmt.Errorf(
				"%d queued, %d running, %d replicas, %d pods from before", q.Queued, q.Running, workers.Replicas,
				len(workers.Pods),
			)
		}
		return nil
	})
}
