package workertest

import (
	"cmp"
	"context"
	"errors"
	"sync"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/worker"
)

// Job is the job that the handler runs.
type Job struct {
	// Function has the name (default "test") and the options of the worker's function, such as its
	// Timeout. Its Handler is replaced by the one given to Run.
	Function worker.Function
	Key      gearman.Key // default: none
	Payload  []byte
	// Server are the options of the job server, such as its dialect (default: gearmand).
	Server gearmantest.Options
}

// Progress is one progress report of the job.
type Progress struct{ Numerator, Denominator uint64 }

// Record is the outcome of the job.
type Record struct {
	// Outcome is how the job ended, HandlerErr the error of the handler that led to it.
	Outcome    worker.Outcome
	HandlerErr error
	// Result is the result that a client got. Err is the error that it got instead: nil, or a
	// *gearman.JobError with the Exception that the handler returned. Both are empty for a job that
	// was requeued.
	Result []byte
	Err    error
	// Parts, Warnings and Progress are what the handler sent while it ran, in order.
	Parts, Warnings [][]byte
	Progress        []Progress
}

const address = "192.0.2.1:4730" // in memory: nothing is ever sent there

// Run runs the handler once. If ctx ends before the handler has returned, a hard stop of the worker
// ends the handler's own context.
func Run(ctx context.Context, handler worker.Handler, job Job) (Record, error) {
	function := job.Function
	function.Name = cmp.Or(function.Name, "test")
	job.Server.InMemory, job.Server.Addr = true, address
	server := gearmantest.NewServer(job.Server)
	defer server.Close()
	var rec Record
	ended := make(chan struct{})
	var once sync.Once
	w, err := worker.New(worker.Options{
		Servers: []string{address}, Dialer: server.DialContext,
		Hooks: worker.Hooks{JobDone: func(_ *worker.Job, d worker.Done) {
			once.Do(func() {
				rec.Outcome, rec.HandlerErr = d.Outcome, d.Err
				close(ended)
			})
		}},
	})
	if err != nil {
		return rec, err
	}
	function.Handler = onlyOnce(handler)
	if err := w.Handle(function); err != nil {
		return rec, err
	}
	c, err := client.New(client.Options{Servers: []string{address}, Dialer: server.DialContext, Exceptions: true})
	if err != nil {
		return rec, err
	}
	var running sync.WaitGroup
	var runErr error
	running.Go(func() {
		runErr = w.Run(ctx)
		once.Do(func() { // the worker ended before it had the job
			rec.Outcome, rec.HandlerErr = worker.Abandoned, cmp.Or(runErr, context.Cause(ctx))
			close(ended)
		})
	})
	stop := context.AfterFunc(ctx, func() { _ = w.StopAndCancel(ctx) }) // ctx has ended, so it doesn't wait
	defer stop()
	seen, leave := context.WithCancel(context.WithoutCancel(ctx))
	running.Go(func() {
		<-ended
		if rec.Outcome >= worker.Requeued {
			leave() // no client gets anything from it now
		}
	})
	results, _ := c.RunSet(seen, &client.Task{
		Function: function.Name, Key: job.Key, Payload: job.Payload,
		OnStatus:  func(n, d uint64) { rec.Progress = append(rec.Progress, Progress{n, d}) },
		OnData:    func(b []byte) { rec.Parts = append(rec.Parts, b) },
		OnWarning: func(b []byte) { rec.Warnings = append(rec.Warnings, b) },
	})
	<-ended
	leave()
	_ = w.StopAndCancel(context.WithoutCancel(ctx)) // this waits for as long as the handler takes
	running.Wait()
	if rec.Outcome < worker.Requeued {
		rec.Result, rec.Err = results[0].Data, results[0].Err
	}
	if errors.Is(runErr, worker.ErrStopped) {
		runErr = nil // caused by Run itself
	}
	return rec, errors.Join(runErr, c.Close())
}

// onlyOnce runs the handler for the first job only. It requeues the job if it comes a second time:
// the first run has reported everything.
func onlyOnce(handler worker.Handler) worker.Handler {
	var first sync.Once
	return func(ctx context.Context, j *worker.Job) (result []byte, err error) {
		err = worker.ErrRequeue
		first.Do(func() { result, err = handler(ctx, j) })
		return result, err
	}
}
