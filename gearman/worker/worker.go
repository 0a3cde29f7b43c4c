package worker

import (
	"context"
	"errors"
	"io"
)

var errTODO = errors.New("not written yet")

type conn struct{}

// Worker runs jobs. Make one with New.
type Worker struct {
	o Options
}

// New makes a worker. It connects when Run is called.
func New(o Options) (*Worker, error) { return nil, errTODO }

// Handle registers a handler for a function. It must be called before Run; a name can be registered once.
func (w *Worker) Handle(name string, h Handler, opts ...Option) error { return errTODO }

// Run connects, works, and returns when the worker has stopped: nil after a soft stop that finished all jobs, ErrStopped after a hard
// one. The end of ctx is a soft stop. A worker runs once.
func (w *Worker) Run(ctx context.Context) error { return errTODO }

// Stop begins a soft stop and returns at once.
func (w *Worker) Stop() {}

// StopNow begins a hard stop and returns at once.
func (w *Worker) StopNow() {}

// Ready is closed when the worker has registered at a first server. It stays closed.
func (w *Worker) Ready() <-chan struct{} { return nil }

// RenewClientID asks Options.ClientID for the id of a slot and sends it over the slot's connections, whether a job runs or not.
func (w *Worker) RenewClientID(slot int) error { return errTODO }

// Status is a look at the worker as it is now.
func (w *Worker) Status() Status { return Status{} }

// Status is the state of a worker.
type Status struct {
	Servers   []ServerStatus // sorted by address
	Running   int            // jobs being worked on
	Slots     int
	Stopping  bool
	Connected int // servers with at least one registered connection
}

// ServerStatus is the state of the connections to one job server.
type ServerStatus struct {
	Server     string // ip:port
	Host       string // the name that it was given by
	Version    string // empty until a first connection was up
	Registered int    // connections that have registered, of one for each slot
	Reconnects uint64 // connections lost and not closed on purpose, and attempts that failed
	LastError  error  // of the last loss or failed attempt; nil once connected again
}

// Status tells clients how far the job is: numerator of denominator.
func (j *Job) Status(numerator, denominator uint64) error { return errTODO }

// Data sends a part of the result to the clients that wait.
func (j *Job) Data(data []byte) error { return errTODO }

// DataFrom sends size bytes of r as one part of the result, without holding them in memory.
func (j *Job) DataFrom(r io.Reader, size int64) error { return errTODO }

// Warning sends a warning to the clients that wait.
func (j *Job) Warning(data []byte) error { return errTODO }
