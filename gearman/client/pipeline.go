package client

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// PipelineOptions of a Pipeline. The zero value is ready.
type PipelineOptions struct {
	// Window is how many submissions may be under way (default 1,000).
	Window int
	// Done is told of each submission, in their order for each server: the number that Submit gave it, and the handle (valid only during
	// the call) or the error. It runs in a connection's goroutine and must not block, nor call the Pipeline.
	Done func(n uint64, server string, handle []byte, err error)
}

// Pipeline submits background jobs without waiting for each to be accepted. It belongs to one goroutine.
type Pipeline struct {
	c    *Client
	o    PipelineOptions
	next uint64
	// touched connections have something staged; bytes is roughly how much.
	touched map[*conn]struct{}
	bytes   int

	finished atomic.Uint64
	wake     chan struct{}
	mu       sync.Mutex
	err      error // the first
}

// flushAt is how many bytes a Pipeline stages at most before it writes them.
const flushAt = 64 << 10

// Pipeline opens a pipeline. There is nothing to close; call Wait at the end.
func (c *Client) Pipeline(o PipelineOptions) *Pipeline {
	if o.Window <= 0 {
		o.Window = 1000
	}
	return &Pipeline{c: c, o: o, touched: make(map[*conn]struct{}), wake: make(chan struct{}, 1)}
}

// Submit queues one background job and returns its number, counted from 0. It waits only while the window is full. What it buffers is sent when
// the window or the buffer is full, and by Flush or Wait. ctx bounds the wait, not the job. An error is of this job and nothing of it was sent.
//
// Submit sets t.Background. t and its payload may be changed once it has returned; callbacks of t are not called.
func (p *Pipeline) Submit(ctx context.Context, t *Task) (uint64, error) {
	t.Background = true
	if err := p.c.check(t); err != nil {
		return 0, err
	}
	if err := p.wait(ctx, uint64(p.o.Window)-1); err != nil {
		return 0, err
	}
	n := p.next
	// The payload may be changed when Submit has returned, so it is copied.
	if len(t.Payload) > copyLimit {
		copied := *t
		copied.Payload = bytes.Clone(t.Payload)
		t = &copied
	}
	err := p.c.choose(ctx, t.Unique, p.c.routeOf(t, nil), func(x *conn) (bool, error) {
		if _, err := p.c.stageTask(ctx, x, request{pipe: p, n: n}, t); err != nil {
			return ctx.Err() != nil, err
		}
		p.touched[x] = struct{}{}
		return true, nil
	})
	if err != nil {
		return 0, fmt.Errorf("submit %s: %w", t.Function, err)
	}
	p.next++
	if p.bytes += len(t.Function) + len(t.Payload) + 40; p.bytes >= flushAt {
		p.Flush()
	}
	return n, nil
}

// Flush sends what is buffered. Failures are told to Done and by Wait.
func (p *Pipeline) Flush() {
	for x := range p.touched {
		x.out.flush() // its requests are told, by the connection's end
	}
	clear(p.touched)
	p.bytes = 0
}

// wait waits until at most most submissions are under way. Before it waits it flushes.
func (p *Pipeline) wait(ctx context.Context, most uint64) error {
	if p.next-p.finished.Load() <= most {
		return nil
	}
	p.Flush()
	for p.next-p.finished.Load() > most {
		select {
		case <-p.wake:
		case <-ctx.Done():
			return fmt.Errorf("wait for job servers to accept %d jobs: %w", p.next-p.finished.Load(), context.Cause(ctx))
		}
	}
	return nil
}

// Wait flushes and waits until every submission was accepted or refused. It returns the first error of any since the last Wait.
func (p *Pipeline) Wait(ctx context.Context) error {
	if err := p.wait(ctx, 0); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.err
	p.err = nil
	return err
}

// accepted is told the answer to a submission by the connection's goroutine. err names the server.
func (p *Pipeline) accepted(x *conn, n uint64, handle []byte, err error) {
	if err != nil {
		err = fmt.Errorf("submission %d: %w", n, err)
		p.mu.Lock()
		if p.err == nil {
			p.err = err
		}
		p.mu.Unlock()
	}
	if p.o.Done != nil {
		p.o.Done(n, x.s.ep.Addr, handle, err)
	}
	p.finished.Add(1)
}

func (p *Pipeline) ping() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
