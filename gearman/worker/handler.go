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
//   - A nil error completes the job with the result: the bytes returned, or the data of
//     Job.ResultFrom.
//   - ErrRequeue, wrapped or not, requeues the job at its job server.
//   - A *[gearman.JobError] fails the job with its details; clients that asked for exceptions get
//     its Exception. If the handler itself called another job as a client, and that job failed, the
//     client's error is a JobError, too.
//   - Any other error fails the job.
//
// ctx ends when the job's time is up (Timeout), on a hard stop, and, with Options.DropOnDisconnect,
// when the connection is lost. context.Cause returns which of these it was.
type Handler func(ctx context.Context, job *Job) ([]byte, error)

// ErrRequeue makes the job server give the job to another worker, or to this one again. The worker
// drops the connection that the job came over. On gearmand the job goes to the tail of its queue
// and its retry count increases. Perl's server fails the jobs of lost connections; there the worker
// fails the job without dropping the connection.
var ErrRequeue = errors.New("requeue the job")

// Causes of a handler's context.
var (
	// ErrTimeout: the job's time is up.
	ErrTimeout = errors.New("the job's time is up")
	// ErrStopped: the worker was stopped hard.
	ErrStopped = errors.New("the worker was stopped")
	// ErrDisconnected: the connection to the job server was lost, so the job server gives the job
	// to another worker.
	ErrDisconnected = errors.New("the connection to the job server was lost")
)

// PanicError is the error for a handler that panicked.
type PanicError struct {
	Value any
	Stack []byte
}

// Error returns the panic's value; the stack is in the field Stack.
func (e *PanicError) Error() string { return fmt.Sprintf("handler panicked: %v", e.Value) }

// Function is a function that a worker offers. Name and Handler are required.
type Function struct {
	// Name is the name of the function, without Options.Prefix.
	Name string
	// Handler runs its jobs.
	Handler Handler
	// Timeout is how long each job may run (default: no limit). Then its context ends. The handler
	// still decides the outcome by what it returns; returning the context's error fails the job. If
	// the handler hasn't returned within Grace, the worker fails the job itself, and discards what
	// the handler returns later. The slot is free again only when the handler returns.
	//
	// The job server doesn't know about it: CAN_DO_TIMEOUT would requeue the job while the worker
	// still runs it, and can hang gearmand 1.1.20.
	Timeout time.Duration
	// Grace is how long a handler may take to return after Timeout (default 5 s).
	Grace time.Duration
	// ServerTimeout, if set, registers the function with CAN_DO_TIMEOUT: the job server gives a job
	// to another worker after that time (at least 1 s; servers before 1.1.19 read seconds instead
	// of milliseconds). It is for job servers that need it; see Timeout.
	ServerTimeout time.Duration
	// Slots is how many jobs of the function may run at once: only this many of the worker's slots
	// register it. 0, or more than Options.Concurrency, means all of them.
	Slots int
	// Retry, if set, makes the worker retry failed jobs.
	Retry *RetryPolicy
	// OnPanic decides the outcome of a job whose handler panics: the error that it returns is
	// treated as if the handler had returned it. If OnPanic is nil, a panic fails the job.
	OnPanic func(*PanicError) error
	// OnSpoolError decides the outcome of a job whose payload could not be written to
	// Options.SpoolDir; err is the reason. It is called in place of the handler, and has no payload
	// to read. If OnSpoolError is nil, the job fails, and JobDone gets err.
	OnSpoolError func(ctx context.Context, job *Job, err error) error
}

// function is a registered function.
type function struct {
	name          string // as the user named it, without the prefix
	wire          string // with the prefix
	handler       Handler
	timeout       time.Duration
	grace         time.Duration
	serverTimeout time.Duration
	onPanic       func(*PanicError) error
	onSpoolError  func(context.Context, *Job, error) error
	retry         *RetryPolicy
	slots         int // at most this many register it; 0: all
	firstSlot     int // the first of these slots

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
