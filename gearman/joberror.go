package gearman

import (
	"errors"
	"fmt"
)

// ErrJobFailed matches every *JobError (errors.Is): a worker ran the job, and the job failed.
var ErrJobFailed = errors.New("the job failed")

// JobError is a job that failed, on both sides. A worker's handler returns one to give details of
// the failure. A client gets one for each job that a worker failed, and finds it with errors.As.
// Only Exception and Warning are sent to the client; the other fields are for the worker's retries,
// dead letters and hooks.
type JobError struct {
	// Reason is one word for metrics and dead letters, such as "exit_code". The client sets it to
	// "exception" if the worker sent an exception, or else to "failed".
	Reason string
	// Message describes in one sentence what went wrong.
	Message string
	// Detail is the end of the job's own output about the failure, such as its standard error. A
	// dead letter keeps 4 KiB of it.
	Detail []byte
	// Exception is sent to clients that asked for exceptions (client.Options.Exceptions); other
	// clients only learn that the job failed. If it is nil, no client gets an exception. It may be
	// empty without being nil.
	Exception []byte
	// Warning is sent as a warning before a failure without an exception, to clients that wait. It
	// tells clients that don't ask for exceptions why the job failed. Clients that don't know
	// warnings, such as Net_Gearman's, break on it.
	Warning []byte
	// Permanent is true if another attempt would fail, too.
	Permanent bool
	// Crashed is true if the job's process died; worker.RetryPolicy.CrashAttempts counts these.
	Crashed bool
	// TimedOut is true if the job ran out of time.
	TimedOut bool

	// ID and Function identify the job. The client sets them.
	ID       JobID
	Function string
}

// Error returns the message, or else the start of the exception, or else the reason.
func (e *JobError) Error() string {
	const show = 200
	switch {
	case e.Message != "":
		return e.Message
	case len(e.Exception) > show:
		return fmt.Sprintf("the job failed with exception %q...", e.Exception[:show])
	case e.Exception != nil:
		return fmt.Sprintf("the job failed with exception %q", e.Exception)
	case e.Reason != "" && e.Reason != ReasonFailed:
		return "the job failed: " + e.Reason
	}
	return ErrJobFailed.Error()
}

// Unwrap makes errors.Is(err, ErrJobFailed) true.
func (e *JobError) Unwrap() error { return ErrJobFailed }

// The reasons that the client and the worker set themselves.
const (
	ReasonFailed    = "failed"    // nothing more is known
	ReasonException = "exception" // the worker sent an exception
	ReasonPanic     = "panic"     // the handler panicked
	ReasonTimeout   = "timeout"   // the handler's time was up
	ReasonKilled    = "killed"    // several runs of the job ended with the death of their worker
)
