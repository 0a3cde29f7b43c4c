package workerruntime

import (
	"context"
	"log/slog"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/worker"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/options"
)

// TestSignals: signals within a moment of the first count as one, since timeout and terminals send
// them to the process and to its group. A later one stops the worker at once.
func TestSignals(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		second   time.Duration // after the first
		stopsNow bool
	}{
		"at once":        {0, false},
		"within 2 ms":    {2 * time.Millisecond, false},
		"after 4 ms":     {4 * time.Millisecond, true},
		"after a minute": {time.Minute, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				log := slog.New(slog.DiscardHandler)
				w, err := worker.New(worker.Options{Servers: []string{"127.0.0.1:1"}})
				if err != nil {
					t.Fatal(err)
				}
				r := &run{opts: &options.Options{}, log: log, worker: w, jobs: newJobs(1, log, newMetrics(nil), nil)}
				ctx, cancel := context.WithCancel(t.Context())
				soft, stopSoft := context.WithCancel(t.Context())
				signals := make(chan os.Signal, 4)
				done := make(chan struct{})
				go func() { defer close(done); r.onSignals(ctx, signals, stopSoft) }()
				signals <- syscall.SIGTERM
				time.Sleep(tc.second)
				signals <- syscall.SIGTERM
				synctest.Wait()
				time.Sleep(time.Minute)
				if !r.isDraining() || soft.Err() == nil {
					t.Error("the worker does not drain")
				}
				if got := stoppedNow(w); got != tc.stopsNow {
					t.Errorf("it stops at once: %v, want %v", got, tc.stopsNow)
				}
				cancel()
				<-done
			})
		})
	}
}

// stoppedNow reports whether a worker that has not run was stopped at once: a soft stop goes via
// the context of Run.
func stoppedNow(w *worker.Worker) bool { return w.Status().Stopping }

// TestExcuse: a job whose process is ended by the signal that stops the worker is requeued.
func TestExcuse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		outcome job.Outcome
		stop    time.Duration // when the worker stops, after the process's end
		want    job.Kind
		after   time.Duration
	}{
		"the worker stops first": {
			job.Outcome{Kind: job.Failed, Reason: job.Crashed, Signal: syscall.SIGTERM}, 0, job.Requeued, 0,
		},
		"a moment later": {
			job.Outcome{Kind: job.Failed, Reason: job.Crashed, Signal: syscall.SIGINT},
			200 * time.Millisecond,
			job.Requeued, 200 * time.Millisecond,
		},
		"much later": {
			job.Outcome{Kind: job.Failed, Reason: job.Crashed, Signal: syscall.SIGTERM},
			time.Second, job.Failed,
			signaledTogether,
		},
		"another signal": {
			job.Outcome{Kind: job.Failed, Reason: job.Crashed, Signal: syscall.SIGKILL},
			200 * time.Millisecond,
			job.Failed, 0,
		},
		"an exit code": {job.Outcome{Kind: job.Failed, Reason: job.ExitCode}, 0, job.Failed, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				stop := make(chan struct{})
				if tc.stop == 0 {
					close(stop)
				} else {
					time.AfterFunc(tc.stop, func() { close(stop) })
				}
				js := newJobs(1, slog.New(slog.DiscardHandler), nil, nil)
				js.draining = stop
				begin := time.Now()
				js.excuse(&tc.outcome)
				if took := time.Since(begin); tc.outcome.Kind != tc.want || took != tc.after {
					t.Errorf("%v after %v, want %v after %v", tc.outcome.Kind, took, tc.want, tc.after)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}
