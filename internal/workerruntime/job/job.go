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

// Why a job's context was ended; context.Cause tells them apart.
var (
	// ErrTimeout ends a job that ran for longer than the job timeout. The job fails.
	ErrTimeout = errors.New("job timeout exceeded")
	// ErrStopped ends a job because the worker must go now: the drain timeout has passed, or a
	// second signal came. The job goes back to the job server.
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

	// Draining, if set, is closed when the worker takes no more jobs: what is held and not running
	// goes back.
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

// Reporter carries the progress of a running job to the clients that wait for it. An error means
// that the job server can't be reached on the connection that gave the job; the job may still run
// on, but its result won't arrive.
type Reporter interface {
	Status(numerator, denominator uint64) error
	Data(chunk []byte) error
	Warning(chunk []byte) error
}

// Handler runs jobs, several at once. Handle blocks until the job has ended; when ctx ends it must
// end the job soon, with an Outcome that follows context.Cause (see Interrupted).
type Handler interface {
	Handle(ctx context.Context, j *Job) Outcome
}

// Checker is a Handler that can tell, without a job, whether one could be run now. The error says
// what is missing.
type Checker interface {
	Check(ctx context.Context) error
}

// Runner is a Handler with processes or connections of its own to look after. Run blocks until ctx
// is done and all is cleaned up; Handle may be called only while Run runs.
type Runner interface {
	Handler
	Run(ctx context.Context) error
	// Ready tells whether a job would be taken up at once; the reason says what is missing.
	Ready() (ok bool, reason string)
}

// Kind is what becomes of a job.
type Kind int

// The kinds of outcome.
const (
	// Completed sends the result to the client.
	Completed Kind = iota
	// Failed tells the client that the job failed, for good.
	Failed
	// Requeued hands the job back to the job server for another worker.
	Requeued
)

// Reason is why a job ended as it did: the label of the metrics and a word in the log.
type Reason string

// The reasons. Their number is small and fixed, since they are metric labels.
const (
	OK       Reason = "ok"
	ExitCode Reason = "exit_code" // the command ended with a code other than 0
	// the handler said that the job failed (stream: an error; http: a 4xx status)
	Rejected Reason = "rejected"
	// the process died by a signal, broke the protocol, or the HTTP service answered 5xx
	Crashed      Reason = "crashed"
	StartFailed  Reason = "start_failed"   // the process could not be started, or none was ready
	Unreachable  Reason = "unreachable"    // the HTTP service accepted no connection
	Busy         Reason = "busy"           // the HTTP service could not take the job for long
	TimedOut     Reason = "timeout"        // it ran for longer than the job timeout
	OutputLimit  Reason = "output_limit"   // the result is larger than the limit
	SpoolFailed  Reason = "spool_failed"   // a workload or result could not be kept on disk
	Interrupting Reason = "worker_stopped" // the worker had to stop before the job's end
)

// Outcome is the end of a job.
type Outcome struct {
	Kind   Kind
	Reason Reason
	// NeverRan tells that nothing of the job has run, so that it can be tried again whatever the
	// crash policy says.
	NeverRan bool
	// NotFound tells that the command ended at once because it did not find its program: it has
	// run, but says of the worker what a job that never ran says.
	NotFound bool
	// Crashed tells of a failed job that its process crashed.
	Crashed bool
	// Permanent tells that the job would fail in the same way at each further attempt.
	Permanent bool
	// Signal ended the job's process, or is 0.
	Signal syscall.Signal
	// Result is the answer to the client, if it is in memory.
	Result []byte
	// ResultFile holds an answer too large for memory, from offset 0, ResultSize bytes long.
	// Whoever gets the outcome closes it.
	ResultFile *os.File
	ResultSize int64
	// Message says why a job failed or was requeued, in words for the log and for a client that
	// asked for exceptions.
	Message string
	// Detail is the end of what a failed command wrote on its standard error; it goes to the client
	// after Message.
	Detail []byte
}

// Done is the outcome of a job that went well.
func Done(result []byte) Outcome { return Outcome{Kind: Completed, Reason: OK, Result: result} }

// Failf is the outcome of a job that failed.
func Failf(reason Reason, format string, args ...any) Outcome {
	return Outcome{Kind: Failed, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// NeverRan is the outcome of a job that could not be started. It goes back to the job server.
func NeverRan(reason Reason, format string, args ...any) Outcome {
	return Outcome{Kind: Requeued, Reason: reason, NeverRan: true, Message: fmt.Sprintf(format, args...)}
}

// Rejectf is the outcome of a job that fails at each attempt in the same way.
func Rejectf(format string, args ...any) Outcome {
	o := Failf(Rejected, format, args...)
	o.Permanent = true
	return o
}

// CrashPolicy says what becomes of a job whose process crashed.
type CrashPolicy string

// The crash policies.
const (
	CrashFail    CrashPolicy = "fail"    // it has failed
	CrashRequeue CrashPolicy = "requeue" // it runs again, a bounded number of times
)

// Crashf is the outcome of a job whose process crashed, which need not be the job's fault.
func Crashf(reason Reason, format string, args ...any) Outcome {
	o := Failf(reason, format, args...)
	o.Crashed = true
	return o
}

// Interrupted is the outcome of a job whose context ended: a timeout fails it, a stop hands it
// back.
func Interrupted(ctx context.Context) Outcome {
	cause := context.Cause(ctx)
	if errors.Is(cause, ErrTimeout) {
		return Failf(TimedOut, "%v", cause)
	}
	return Outcome{Kind: Requeued, Reason: Interrupting, Message: fmt.Sprint(cause)}
}
