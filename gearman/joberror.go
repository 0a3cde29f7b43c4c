package gearman

import (
	"errors"
	"fmt"
)

// ErrJobFailed is what every *JobError is: a worker ran the job, and the job failed.
var ErrJobFailed = errors.New("the job failed")

// JobError is a job that failed, on both sides: a worker's handler returns one to say more than
// that, and a client gets one, in whose chain it looks with errors.As, of each job that a worker
// has failed. Only Exception travels to the client; the rest of what a handler says is for its
// worker's retries, dead letters and hooks.
type JobError struct {
	// Reason is a word for metrics and dead letters, as "exit_code". The client sets "exception" if
	// it was sent one, else "failed".
	Reason string
	// Message says in one sentence what went wrong.
	Message string
	// Detail is the end of what the job wrote about it, as its standard error; a dead letter keeps
	// 4 KiB.
	Detail []byte
	// Exception is sent to the clients that asked for exceptions (client.Options.Exceptions); the
	// others are told that the job failed. If it is nil, all of them are. It may be empty and not
	// nil.
	Exception []byte
	// Warning is sent as a warning before a failure without an exception, to clients that wait: it
	// tells those why the job failed that don't ask for exceptions. Clients that know no warnings
	// break on it, as Net_Gearman's do.
	Warning []byte
	// Permanent says that no further attempt would do better.
	Permanent bool
	// Crashed says that the job's process died: worker.RetryPolicy.CrashAttempts counts.
	Crashed bool
	// TimedOut says that the job ran out of time.
	TimedOut bool

	// ID and Function name the job. The client sets them.
	ID       JobID
	Function string
}

// Error gives the message, or else the start of the exception, or else the reason.
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

// The reasons that the client and the worker give of themselves.
const (
	ReasonFailed    = "failed"    // nothing more is known
	ReasonException = "exception" // the worker sent an exception
	ReasonPanic     = "panic"     // the handler panicked
	ReasonTimeout   = "timeout"   // the handler's time was up
	ReasonKilled    = "killed"    // runs of the job ended with the death of their worker
)
