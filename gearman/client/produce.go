package client

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// producer counts the submissions of Produce that are under way.
type producer struct {
	mu      sync.Mutex
	pending int
	room    chan struct{} // closed when responses have arrived; nil: nobody waits for room
	err     error         // the first since the last Flush
}

// Produce submits a background job without waiting for a job server to accept it. done is called
// with the job's id, or with the error, which names the job server. It may be nil: Flush returns
// the first error in any case. For the jobs of one job server, done is called in their order, in a
// connection's goroutine, so it must neither block nor call Produce or Flush. If an error occurs
// before anything was sent, Produce itself calls done.
//
// Any number of goroutines may call Produce. It blocks until there is a connection, and while
// Options.MaxPending submissions are under way. ctx bounds this wait, not the job. Jobs are sent at
// once; if they are produced faster than they are written, several share a write.
//
// t.Background needn't be set, and t's callbacks aren't called. t and its payload may be changed
// once Produce has returned.
func (c *Client) Produce(ctx context.Context, t *Task, done func(gearman.JobID, error)) {
	if err := c.gate.enter(); err != nil {
		c.producer.refuse(done, fmt.Errorf("submit %s: %w", t.Function, err))
		return
	}
	defer c.gate.leave()
	t, done, err := c.beginProduce(ctx, t, done)
	if err == nil && (t.PayloadFrom != nil || t.ResultTo != nil) {
		err = fmt.Errorf(
			"%w: Produce takes the payload in Task.Payload; PayloadFrom and ResultTo are for Do, Background and sets",
			ErrTask,
		)
	}
	if err == nil {
		err = t.onlyOnce("Produce")
	}
	if err != nil {
		c.producer.refuse(done, err)
		return
	}
	large := len(t.Payload) > copyLimit
	if large || !t.Background {
		own := *t
		own.Background = true
		t = &own
	}
	if err := c.check(t); err != nil {
		c.producer.refuse(done, err)
		return
	}
	if err := c.producer.enter(ctx, c.o.MaxPending-1); err != nil {
		c.producer.refuse(done, fmt.Errorf("submit %s: %w", t.Function, err))
		return
	}
	if large {
		t.Payload = bytes.Clone(t.Payload) // it is written after Produce has returned
	}
	r := c.routeOf(t, nil)
	x, start := c.connected(t.Key, r)
	if x != nil && c.produceOver(ctx, x, t, done) == nil {
		return
	} // otherwise nothing was sent
	err = c.choose(ctx, t.Key, r, start, func(x *conn) (bool, error) {
		err := c.produceOver(ctx, x, t, done)
		return err == nil || ctx.Err() != nil, err
	})
	if err != nil {
		err = fmt.Errorf("submit %s: %w", t.Function, err)
		c.producer.left(1, err)
		if done != nil {
			done(gearman.JobID{}, err)
		}
	}
}

// produceOver submits a job over a connection. A failure after that shows when the connection ends.
func (c *Client) produceOver(ctx context.Context, x *conn, t *Task, done func(gearman.JobID, error)) error {
	_, err := c.stageTask(ctx, x, request{produced: true, done: done}, t)
	if err == nil {
		x.out.flush()
	}
	return err
}

// Flush waits until every job given to Produce before the call has been accepted or refused. It
// returns the first error since the last Flush, or the reason why ctx has ended.
func (c *Client) Flush(ctx context.Context) error {
	if err := c.producer.wait(ctx, 0); err != nil {
		return err
	}
	p := &c.producer
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.err
	p.err = nil
	return err
}

// enter waits until at most most submissions are under way, and counts one more.
func (p *producer) enter(ctx context.Context, most int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.waitLocked(ctx, most); err != nil {
		return err
	}
	p.pending++
	return nil
}

func (p *producer) wait(ctx context.Context, most int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waitLocked(ctx, most)
}

// waitLocked waits until at most most submissions are under way. The lock is not held meanwhile.
func (p *producer) waitLocked(ctx context.Context, most int) error {
	for p.pending > most {
		if p.room == nil {
			p.room = make(chan struct{})
		}
		room := p.room
		p.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
		}
		p.mu.Lock()
		if ctx.Err() != nil && p.pending > most {
			return fmt.Errorf("wait for job servers to accept %d jobs: %w", p.pending, context.Cause(ctx))
		}
	}
	return nil
}

// left removes n submissions from the count, since they were answered, or can't be, and wakes the
// callers that wait for room. err is the first of their errors.
func (p *producer) left(n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending -= n
	if p.err == nil {
		p.err = err
	}
	if p.room != nil {
		close(p.room)
		p.room = nil
	}
}

// refuse reports the error of a job that was neither sent nor counted.
func (p *producer) refuse(done func(gearman.JobID, error), err error) {
	p.mu.Lock()
	if p.err == nil {
		p.err = err
	}
	p.mu.Unlock()
	if done != nil {
		done(gearman.JobID{}, err)
	}
}

// answered reports the response to a produced submission, in a connection's goroutine. err names
// the job server.
func (x *conn) answered(r *request, p proto.Packet, err error) {
	if r.done != nil {
		id := gearman.JobID{Server: x.s.ep.Addr}
		if err == nil {
			id.Handle = string(p.Data)
		}
		r.done(id, err)
	}
	x.left++
	if x.leftErr == nil {
		x.leftErr = err
	}
}

// settle counts the answered submissions of Produce.
func (x *conn) settle() {
	if x.left > 0 {
		x.c.producer.left(x.left, x.leftErr)
		x.left, x.leftErr = 0, nil
	}
}
