package workerruntime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
	"github.com/gearman-operator/gearman-operator/gearman/worker"
	"github.com/gearman-operator/gearman-operator/internal/telemetry"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/journal"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/logs"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/options"
)

// jobs runs the library's jobs with the handlers and keeps account of them.
type jobs struct {
	log       *slog.Logger
	failures  *logs.Limit // of lines about jobs that did not complete
	metrics   *metrics
	announcer *announcer
	draining  <-chan struct{} // closed when no more jobs are taken

	mu    sync.Mutex
	slots []slotState // a slot has one job at a time
	busy  int
	// undone counts the jobs since the drain began that the job servers run again.
	undone int
	// requeues counts the consecutive jobs requeued after crashes. Without it, a crashing command
	// would get the same job again at once.
	requeues int
}

// slotState is the outcome of a slot's job, between the end of its handler and the end of its
// packets.
type slotState struct {
	started  time.Time
	reason   job.Reason
	neverRan bool
}

func newJobs(concurrency int, log *slog.Logger, m *metrics, a *announcer) *jobs {
	return &jobs{
		log: log, failures: logs.NewLimit(10, 50, time.Now), metrics: m, announcer: a,
		slots: make([]slotState, concurrency),
	}
}

// handle is the library's handler of a function.
func (js *jobs) handle(h *handler) worker.Handler {
	return func(ctx context.Context, wj *worker.Job) ([]byte, error) {
		j := &job.Job{
			Function: wj.Function(), Handle: wj.Handle(), Unique: string(wj.Key()), Attempt: wj.Attempt(),
			Body: wj.Payload(), File: wj.Spool(), Size: wj.Size(), Reporter: wj, Draining: js.draining,
		}
		runCtx := ctx
		if h.JobTimeout > 0 {
			// The library's timeout is not used: the outcome is reported once the job's process has
			// ended, which takes up to --kill-after.
			var cancel context.CancelFunc
			runCtx, cancel = context.WithTimeoutCause(ctx, h.JobTimeout, job.ErrTimeout)
			defer cancel()
		}
		o := h.guard.Handle(runCtx, j, wj.CanRequeue())
		js.excuse(&o)
		return js.settle(ctx, wj, h, &o)
	}
}

// signaledTogether is how long after the end of a job's process the worker's own signal may come.
const signaledTogether = 250 * time.Millisecond

// excuse requeues a job whose process was ended by the signal that stops the worker: systemd,
// timeout and a terminal send it to both. The job did nothing wrong.
func (js *jobs) excuse(o *job.Outcome) {
	if o.Reason != job.Crashed || o.Signal != syscall.SIGTERM && o.Signal != syscall.SIGINT {
		return
	}
	timer := time.NewTimer(signaledTogether)
	defer timer.Stop()
	select {
	case <-js.draining:
		o.Kind, o.Reason = job.Requeued, job.Interrupting
	case <-timer.C:
	}
}

// unspooled returns the library's handler of jobs whose workload could not be stored.
func (js *jobs) unspooled(h *handler) func(context.Context, *worker.Job, error) error {
	return func(ctx context.Context, wj *worker.Job, err error) error {
		o := job.Crashf(
			job.SpoolFailed,
			"keep the workload: %v (give --spool-dir a directory with room for --concurrency workloads)", err,
		)
		if h.OnCrash == job.CrashRequeue {
			o.Kind = job.Requeued // there is no workload to submit again
		}
		_, err = js.settle(ctx, wj, h, &o)
		return err
	}
}

// settle turns a job's outcome into what the library expects.
func (js *jobs) settle(ctx context.Context, wj *worker.Job, h *handler, o *job.Outcome) ([]byte, error) {
	js.ended(ctx, wj, o)
	switch o.Kind {
	case job.Completed:
		if o.ResultFile != nil {
			if err := wj.ResultFrom(
				fileSection{io.NewSectionReader(o.ResultFile, 0, o.ResultSize), o.ResultFile}, o.ResultSize,
			); err != nil {
				o.ResultFile.Close()
				return nil, fmt.Errorf("send the result: %w", err)
			}
			return nil, nil
		}
		return o.Result, nil
	case job.Requeued:
		return nil, fmt.Errorf("%w: %s", worker.ErrRequeue, o.Message)
	}
	failure := &gearman.JobError{
		Reason: string(o.Reason), Message: o.Message, Detail: o.Detail,
		Permanent: o.Permanent, Crashed: o.Crashed, TimedOut: o.Reason == job.TimedOut,
	}
	if o.Message != "" || len(o.Detail) > 0 {
		if h.Exceptions {
			failure.Exception = reasonText(o)
		} else if h.FailureWarnings {
			failure.Warning = reasonText(o)
		}
	}
	return nil, failure
}

// retryPolicy returns the policy that a handler's options set.
func retryPolicy(h *options.Handler) worker.RetryPolicy {
	p := worker.RetryPolicy{
		Attempts: h.RetryAttempts, CrashAttempts: h.RetryAttempts, Timeouts: h.RetryTimeouts,
		DeadLetter: h.DeadLetterFunction,
	}
	if h.RetryAttempts > 1 {
		p.Backoff, p.MaxBackoff = h.RetryBackoff, h.RetryMaxBackoff
	}
	switch {
	case h.OnCrash == job.CrashFail:
		p.CrashAttempts = 1
	case h.RetryAttempts == 1:
		p.CrashAttempts = crashRuns
	}
	return p
}

// crashRuns is how often a job that crashes runs in total, unless --retry-attempts sets another
// number.
const crashRuns = 3

// slotJournal adapts the worker's journal to the library's.
type slotJournal struct {
	journal *journal.Journal
	log     *slog.Logger
}

func journaled(j *worker.Job) journal.Job {
	return journal.Job{Server: j.Server(), Handle: j.Handle(), Function: j.Function(), Unique: j.Identity()}
}

func (s slotJournal) Begin(j *worker.Job) int { return s.journal.Begin(j.Slot(), journaled(j)) }
func (s slotJournal) End(j *worker.Job)       { s.journal.End(j.Slot()) }
func (s slotJournal) Settle(j *worker.Job) {
	if err := s.journal.Settle(journaled(j)); err != nil {
		s.log.LogAttrs(context.Background(), slog.LevelWarn, "Journal can't be written", slog.Any("error", err))
	}
}

// fileSection is a result in a file. The library closes it after sending it.
type fileSection struct {
	*io.SectionReader
	file *os.File
}

func (f fileSection) Close() error { return f.file.Close() }

// reasonText is the text that tells clients why a job failed.
func reasonText(o *job.Outcome) []byte {
	text := []byte(o.Message)
	if len(o.Detail) > 0 {
		if len(text) > 0 {
			text = append(text, '\n')
		}
		text = append(text, o.Detail...)
	}
	return text
}

// ended records a job's outcome for the hook that runs when the job server has been told.
func (js *jobs) ended(ctx context.Context, wj *worker.Job, o *job.Outcome) {
	js.mu.Lock()
	js.slots[wj.Slot()].reason, js.slots[wj.Slot()].neverRan = o.Reason, o.NeverRan
	crashed := o.Kind == job.Requeued && o.Reason != job.Interrupting && !o.NeverRan
	wait := time.Duration(0)
	if crashed {
		js.requeues++
		wait = requeueBackoff.Delay(js.requeues)
	} else if o.Kind == job.Completed {
		js.requeues = 0
	}
	js.mu.Unlock()
	if o.Kind != job.Completed {
		js.failures.Log(context.Background(), js.log, slog.LevelWarn, "Job "+verb(o.Kind),
			slog.String("function", wj.Function()), slog.String("handle", wj.Handle()),
			slog.String("reason", string(o.Reason)),
			slog.String("message", o.Message), slog.Int("attempt", wj.Attempt()), slog.Duration("wait", wait))
	}
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-js.draining: // other workers wait for the job, and this worker takes no more jobs
		case <-timer.C:
		}
	}
}

func verb(k job.Kind) string {
	if k == job.Requeued {
		return "requeued"
	}
	return "failed"
}

// requeueBackoff is how long a crashed job is held before it is requeued, by the number of
// consecutive crashes. Otherwise a job that always crashes would cycle as fast as connections open.
var requeueBackoff = gearman.Backoff{Min: 100 * time.Millisecond, Max: 30 * time.Second}

// start is the hook at a job's start.
func (js *jobs) start(wj *worker.Job) {
	now := time.Now()
	js.mu.Lock()
	js.slots[wj.Slot()] = slotState{started: now}
	js.busy++
	first := js.busy == 1
	js.mu.Unlock()
	js.metrics.started(wj.Function())
	js.announcer.started(wj.Function(), now, first)
}

// done is the hook at a job's end, when its outcome has been sent or can't be.
func (js *jobs) done(wj *worker.Job, d worker.Done) {
	now := time.Now()
	js.mu.Lock()
	s := js.slots[wj.Slot()]
	joined := errors.Is(d.Err, worker.ErrJoined) // another slot sends the outcome
	if js.isDraining() && (d.Outcome == worker.Lost && !joined || d.Outcome == worker.Requeued && !s.neverRan) {
		js.undone++
	}
	js.mu.Unlock()
	if errors.Is(d.Err, proto.ErrTooLarge) { // its handler did not run
		s.reason = job.Rejected
		js.failures.Log(context.Background(), js.log, slog.LevelWarn, "Job failed: its workload is larger than --max-workload",
			slog.String("function", wj.Function()), slog.String("handle", wj.Handle()), slog.Int64("bytes", d.BytesIn))
	}
	if d.Joined {
		s.reason = joinedReason(d.Err)
	}
	if s.reason == "" { // a panic in a handler, or a job that was not run because it has killed workers
		s.reason = job.Crashed
	}
	result, counted := resultOf(d.Outcome)
	js.metrics.ended(wj.Function(), result, s.reason, now.Sub(s.started))
	if d.Outcome == worker.Retried {
		js.metrics.retried(wj.Function(), wj.Attempt()+1, s.reason)
	}
	js.mu.Lock()
	js.busy-- // after counting the job, so that whoever sees no job running finds all of them in the metrics
	last := js.busy == 0
	js.mu.Unlock()
	js.announcer.ended(wj.Function(), s.started, now, counted, last)
	switch d.Outcome {
	case worker.Buried:
		js.failures.Log(context.Background(), js.log, slog.LevelWarn, "Job has failed for good and went to the dead letter function",
			slog.String(
				"function", wj.Function(),
			), slog.String("handle", wj.Handle()), slog.Int("attempts", wj.Attempt()))
	case worker.Lost:
		if joined {
			js.log.LogAttrs(context.Background(), slog.LevelInfo, "Job's connection was lost while it ran: its outcome is sent over another one",
				slog.String("function", wj.Function()), slog.String("handle", wj.Handle()))
			return
		}
		js.failures.Log(context.Background(), js.log, slog.LevelWarn, "Job's outcome could not be sent, the job server runs it again",
			slog.String("function", wj.Function()), slog.String("handle", wj.Handle()), slog.Any("error", d.Err))
	}
}

// joinedReason is the reason of a job that waited for its run in another slot.
func joinedReason(err error) job.Reason {
	if err == nil {
		return job.OK
	}
	if failure, ok := errors.AsType[*gearman.JobError](err); ok {
		return job.Reason(failure.Reason)
	}
	return job.Interrupting // a lost connection, or a requeued job
}

// resultOf returns an outcome's name in the metrics and how the telemetry counts it.
func resultOf(o worker.Outcome) (string, telemetry.Outcome) {
	switch o {
	case worker.Complete:
		return resultCompleted, telemetry.OK
	case worker.Fail, worker.Excepted:
		return resultFailed, telemetry.Failed
	case worker.Retried:
		return resultRetried, telemetry.Retried
	case worker.Buried:
		return resultDeadLettered, telemetry.DeadLettered
	case worker.Lost:
		return resultLost, telemetry.Requeued
	}
	return resultRequeued, telemetry.Requeued
}

func (js *jobs) isDraining() bool {
	select {
	case <-js.draining:
		return true
	default:
		return false
	}
}

// unfinished is how many jobs the job servers run again because this worker stopped.
func (js *jobs) unfinished() int {
	js.mu.Lock()
	defer js.mu.Unlock()
	return js.undone
}

// running is the number of running jobs.
func (js *jobs) running() int {
	js.mu.Lock()
	defer js.mu.Unlock()
	return js.busy
}
