package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// Handler runs a job and returns its result.
//
//   - A nil error completes the job with the result: the bytes returned, or what Job.ResultFrom was given.
//   - ErrRequeue, wrapped or not, hands the job back to the server.
//   - A *[gearman.JobError] fails the job with what it says; its Exception goes to clients that asked for exceptions. The error of a
//     client's call in the handler is one, too, if the job that was called has failed.
//   - Any other error fails the job.
//
// ctx ends when the job's time is up (Timeout), on a hard stop, and, with Options.DropOnDisconnect,
// when the connection is lost; context.Cause says which.
type Handler func(ctx context.Context, job *Job) ([]byte, error)

// ErrRequeue makes the server give the job to another worker, or to this one again, by dropping the
// connection that it came over. On gearmand the job goes to the tail of its queue and its retries
// count up; Perl's server fails the jobs of lost connections, so there the job is failed without
// dropping anything.
var ErrRequeue = errors.New("requeue the job")

// Causes of a handler's context.
var (
	// ErrTimeout: the job's time is up.
	ErrTimeout = errors.New("the job's time is up")
	// ErrStopped: the worker was stopped hard.
	ErrStopped = errors.New("the worker was stopped")
	// ErrDisconnected: the connection to the job server was lost, so the server gives the job to
	// another worker.
	ErrDisconnected = errors.New("the connection to the job server was lost")
)

// PanicError is what a handler's panic becomes.
type PanicError struct {
	Value any
	Stack []byte
}

// Error gives the panic's value; the stack is in the field.
func (e *PanicError) Error() string { return fmt.Sprintf("handler panicked: %v", e.Value) }

// Function is a function that a worker offers. Name and Handler are needed.
type Function struct {
	// Name is the function's, without Options.Prefix.
	Name string
	// Handler runs its jobs.
	Handler Handler
	// Timeout is how long each job may run (default: as long as it takes). Then its context ends.
	// The handler decides what comes of the job by what it returns, which is a failure if it
	// returns the context's error; if it hasn't returned within Grace, the job is failed in its
	// place, and what it returns later is thrown away. Its slot is free again only when it returns.
	//
	// The server isn't told: CAN_DO_TIMEOUT would requeue the job behind the worker's back and can
	// hang gearmand 1.1.20.
	Timeout time.Duration
	// Grace is how long a handler may take to return once Timeout is over (default 5 s).
	Grace time.Duration
	// ServerTimeout, where set, registers the function with CAN_DO_TIMEOUT: the server gives a job
	// to another worker after that time (at least 1 s; servers before 1.1.19 read seconds for
	// milliseconds). For servers that need it; see Timeout.
	ServerTimeout time.Duration
	// Slots is how many jobs of the function may run at once: only so many of the worker's slots
	// register it. 0, or more than Options.Concurrency, means all of them.
	Slots int
	// Retry, where set, makes the worker try failed jobs again.
	Retry *RetryPolicy
	// OnPanic decides what comes of a job whose handler panics: the outcome is that of the error
	// which it returns, as if the handler had returned it. Without it a panic fails the job.
	OnPanic func(*PanicError) error
	// OnSpoolError decides in the handler's place what comes of a job whose payload could not be
	// written to Options.SpoolDir, for which err says why: it is called as a handler is, but has no
	// payload to read. Without it such a job fails, and JobDone is told err.
	OnSpoolError func(ctx context.Context, job *Job, err error) error
}

// function is a registered function.
type function struct {
	name          string // as the user named it
	wire          string // with the prefix
	handler       Handler
	timeout       time.Duration
	grace         time.Duration
	serverTimeout time.Duration
	onPanic       func(*PanicError) error
	onSpoolError  func(context.Context, *Job, error) error
	retry         *RetryPolicy
	slots         int // at most so many register it; 0: all
	firstSlot     int // of these

	// Guarded by Worker.admission.
	restricted bool  // to the slots in only
	only       []int // see Admit
}

// call runs the handler and turns a panic into an error.
func (f *function) call(ctx context.Context, job *Job) (result []byte, err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		value := recover()
		if value == nil { // runtime.Goexit, which can't be stopped
			job.exited = true
			return
		}
		p := &PanicError{Value: value, Stack: debug.Stack()}
		result, err = nil, error(p)
		if f.onPanic != nil {
			err = errors.Join(f.onPanic(p), p)
		}
	}()
	switch {
	case job.payloadErr == nil:
		result, err = f.handler(ctx, job)
	case f.onSpoolError != nil && !errors.Is(job.payloadErr, proto.ErrTooLarge):
		err = errors.Join(f.onSpoolError(ctx, job, job.payloadErr), job.payloadErr)
	default:
		err = job.payloadErr
	}
	returned = true
	return result, err
}
