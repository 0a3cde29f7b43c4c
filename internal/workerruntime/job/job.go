package job

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// The causes that end a job's context, as context.Cause returns them.
var (
	// ErrTimeout ends a job that ran for longer than the job timeout. The job fails.
	ErrTimeout = errors.New("job timeout exceeded")
	// ErrStopped ends a job because the worker must stop now: the drain timeout has passed, or a
	// second signal came. The job is requeued.
	ErrStopped = errors.New("worker is stopping")
)

// Job is one unit of work. It is valid until Handle returns.
type Job struct {
	Function string
	Handle   string
	Unique   string
	// Attempt is the number of this run of the job, from 1.
	Attempt int

	// Body is the workload when it is in memory; File is nil then.
	Body []byte
	// File holds a workload too large for memory, from offset 0. The job's owner closes it.
	File *os.File
	// Size is the length of the workload in bytes, wherever it is.
	Size int64

	// Reporter carries progress to the client while the job runs.
	Reporter Reporter

	// Draining, if set, is closed when the worker takes no more jobs: held jobs that don't run are
	// requeued.
	Draining <-chan struct{}

	// Started is called when the job has begun to run: its process exists or has taken it, or the
	// service has accepted the connection. It may be nil.
	Started func()
}

// HasStarted calls Started.
func (j *Job) HasStarted() {
	if j.Started != nil {
		j.Started()
	}
}

// Workload returns a reader of the workload, from its start.
func (j *Job) Workload() io.Reader {
	if j.File != nil {
		return io.NewSectionReader(j.File, 0, j.Size)
	}
	return bytes.NewReader(j.Body)
}

// Reporter sends the progress of a running job to the clients that wait for it. An error means that
// the connection that gave the job is lost. The job may still run, but its result won't arrive.
type Reporter interface {
	Status(numerator, denominator uint64) error
	Data(chunk []byte) error
	Warning(chunk []byte) error
}

// Handler runs jobs, several at once. Handle blocks until the job has ended. When ctx ends it must
// end the job soon, with an Outcome that follows context.Cause (see Interrupted).
type Handler interface {
	Handle(ctx context.Context, j *Job) Outcome
}

// Checker is a Handler that can check, without a job, whether one could be run now. The error says
// what is missing.
type Checker interface {
	Check(ctx context.Context) error
}

// Runner is a Handler with processes or connections of its own to maintain. Run blocks until ctx is
// done and everything is cleaned up. Handle may be called only while Run runs.
type Runner interface {
	Handler
	Run(ctx context.Context) error
	// Ready reports whether a job would start at once; the reason says what is missing.
	Ready() (ok bool, reason string)
}

// Kind is the kind of a job's outcome.
type Kind int

// The kinds of outcome.
const (
	// Completed sends the result to the client.
	Completed Kind = iota
	// Failed reports to the client that the job failed, for good.
	Failed
	// Requeued returns the job to the job server for another worker.
	Requeued
)

// Reason is why a job ended as it did: a label of the metrics and a word in the log.
type Reason string

// The reasons. Their number is small and fixed, since they are metric labels.
const (
	OK       Reason = "ok"
	ExitCode Reason = "exit_code" // the command ended with a code other than 0
	// the handler reported that the job failed (stream: an error; http: a 4xx status)
	Rejected Reason = "rejected"
	// a signal ended the process, it broke the protocol, or the HTTP service answered 5xx
	Crashed      Reason = "crashed"
	StartFailed  Reason = "start_failed"   // the process could not be started, or none was ready
	Unreachable  Reason = "unreachable"    // the HTTP service accepted no connection
	Busy         Reason = "busy"           // the HTTP service was too busy for the job for too long
	TimedOut     Reason = "timeout"        // it ran for longer than the job timeout
	OutputLimit  Reason = "output_limit"   // the result is larger than the limit
	SpoolFailed  Reason = "spool_failed"   // a workload or result could not be stored on disk
	Interrupting Reason = "worker_stopped" // the worker had to stop before the job's end
)

// Outcome is the end of a job.
type Outcome struct {
	Kind   Kind
	Reason Reason
	// NeverRan means that no part of the job has run, so that it can be tried again under any crash
	// policy.
	NeverRan bool
	// NotFound means that the command ended at once because it did not find its program. It has
	// run, but the worker has the same trouble as if it had not.
	NotFound bool
	// Crashed means that the process of a failed job crashed.
	Crashed bool
	// Permanent means that the job would fail in the same way at each further attempt.
	Permanent bool
	// Signal ended the job's process, or is 0.
	Signal syscall.Signal
	// Result is the result for the client, if it is in memory.
	Result []byte
	// ResultFile holds a result too large for memory, from offset 0, ResultSize bytes long. The
	// receiver of the outcome closes it.
	ResultFile *os.File
	ResultSize int64
	// Message is why a job failed or was requeued, in words for the log and for a client that asked
	// for exceptions.
	Message string
	// Detail is the end of what a failed command wrote to standard error. The client gets it after
	// Message.
	Detail []byte
}

// Done is the outcome of a job that completed.
func Done(result []byte) Outcome { return Outcome{Kind: Completed, Reason: OK, Result: result} }

// Failf is the outcome of a job that failed.
func Failf(reason Reason, format string, args ...any) Outcome {
	return Outcome{Kind: Failed, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// NeverRan is the outcome of a job that could not be started. It is requeued.
func NeverRan(reason Reason, format string, args ...any) Outcome {
	return Outcome{Kind: Requeued, Reason: reason, NeverRan: true, Message: fmt.Sprintf(format, args...)}
}

// Rejectf is the outcome of a job that fails at each attempt in the same way.
func Rejectf(format string, args ...any) Outcome {
	o := Failf(Rejected, format, args...)
	o.Permanent = true
	return o
}

// CrashPolicy is what happens to a job whose process crashed.
type CrashPolicy string

// The crash policies.
const (
	CrashFail    CrashPolicy = "fail"    // it has failed
	CrashRequeue CrashPolicy = "requeue" // it runs again, a bounded number of times
)

// Crashf is the outcome of a job whose process crashed, which is not always the job's fault.
func Crashf(reason Reason, format string, args ...any) Outcome {
	o := Failf(reason, format, args...)
	o.Crashed = true
	return o
}

// Interrupted is the outcome of a job whose context ended: a timeout fails it, a stop requeues it.
func Interrupted(ctx context.Context) Outcome {
	cause := context.Cause(ctx)
	if errors.Is(cause, ErrTimeout) {
		return Failf(TimedOut, "%v", cause)
	}
	return Outcome{Kind: Requeued, Reason: Interrupting, Message: fmt.Sprint(cause)}
}
