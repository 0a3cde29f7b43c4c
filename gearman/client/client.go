package client

import (
	"context"
	"errors"
)

var errTODO = errors.New("not written yet")

// Client submits jobs.
type Client struct {
	o Options
}

// New makes a client. It connects when something is to be sent.
func New(o Options) (*Client, error) { return nil, errTODO }

// Close ends all connections and waits for their goroutines. Calls that wait end with ErrClosed.
func (c *Client) Close() error { return errTODO }

// Do runs a job in the foreground and returns its result.
func (c *Client) Do(ctx context.Context, function string, payload []byte, opts ...Option) ([]byte, error) {
	return nil, errTODO
}

// Background queues a job and returns when a server has accepted it.
func (c *Client) Background(ctx context.Context, function string, payload []byte, opts ...Option) (JobID, error) {
	return JobID{}, errTODO
}

// Status asks a job's server how far it is.
func (c *Client) Status(ctx context.Context, id JobID) (JobStatus, error) {
	return JobStatus{}, errTODO
}

// StatusByUnique asks for the job with a unique key, at the server that ByUnique chooses for it or, with any other selection, at all servers
// until one knows it. Only gearmand answers.
func (c *Client) StatusByUnique(ctx context.Context, unique string) (JobStatus, error) {
	return JobStatus{}, errTODO
}

// Echo sends data to every server and waits for it to come back. The error names the servers that failed.
func (c *Client) Echo(ctx context.Context, data []byte) error { return errTODO }

// Result is what became of a task of a set.
type Result struct {
	Task *Task
	ID   JobID  // empty if no server accepted it
	Data []byte // of a foreground task
	Err  error  // nil if it completed (foreground) or was accepted (background)
}

// RunSet runs tasks side by side and returns when all have ended, or ctx has. It gives a result for each task, in their order; the error is the
// context's if it ended first, else nil: what became of each task is in its result. Callbacks run in the caller's goroutine, one at a time.
func (c *Client) RunSet(ctx context.Context, tasks ...*Task) ([]Result, error) { return nil, errTODO }

// Pipeline submits background jobs without waiting for each to be accepted.
type Pipeline struct{}

// PipelineOptions of a Pipeline. The zero value is ready.
type PipelineOptions struct {
	// Window is how many submissions may be under way (default 1,000).
	Window int
	// Done is told of each submission, in order for each server: the number that Submit gave it, and the handle (valid only during the call)
	// or the error. It runs in the connection's goroutine and must not block.
	Done func(n uint64, server string, handle []byte, err error)
}

// Pipeline opens a pipeline. It belongs to one goroutine.
func (c *Client) Pipeline(o PipelineOptions) *Pipeline { return nil }

// Submit queues one background job and returns its number, counted from 0. It waits only while the window is full. What it buffers is
// sent when the window or the buffer is full, or by Flush or Wait. ctx bounds the wait, not the job.
func (p *Pipeline) Submit(ctx context.Context, t *Task) (uint64, error) { return 0, errTODO }

// Flush sends what is buffered.
func (p *Pipeline) Flush() error { return errTODO }

// Wait flushes and waits until every submission was accepted or refused, and returns the first error of any since the last Wait.
func (p *Pipeline) Wait(ctx context.Context) error { return errTODO }
