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
	room    chan struct{} // closed when some were answered; nil: nobody waits
	err     error         // the first since the last Flush
}

// Produce submits a background job without waiting for a server to accept it. done is told the
// job's id, or the error, which names the server; it may be nil: Flush returns the first error in
// any case. Of jobs for one server done is called in their order, by a connection's goroutine, so
// it must neither block nor call Produce or Flush; an error before anything was sent it is told by
// Produce itself.
//
// Any number of goroutines may call Produce. It waits for a connection, and while
// Options.MaxPending submissions are under way; ctx bounds that wait, not the job. What is produced
// is sent at once, in common writes where it comes faster than it is written.
//
// t.Background is taken for granted and t's callbacks aren't called. t and its payload may be
// changed once Produce has returned.
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
		t.Payload = bytes.Clone(t.Payload) // it is written later
	}
	err = c.choose(ctx, t.Key, c.routeOf(t, nil), func(x *conn) (bool, error) {
		if _, err := c.stageTask(ctx, x, request{produced: true, done: done}, t); err != nil {
			return ctx.Err() != nil, err
		}
		x.out.flush() // a failure is told by the connection's end
		return true, nil
	})
	if err != nil {
		err = fmt.Errorf("submit %s: %w", t.Function, err)
		c.producer.left(err)
		c.producer.wake()
		if done != nil {
			done(gearman.JobID{}, err)
		}
	}
}

// Flush waits until every job that was given to Produce before is accepted or refused. It returns
// the first error of any since the last Flush, or why ctx has ended.
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
	if err := p.wait(ctx, most); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending++
	return nil
}

func (p *producer) wait(ctx context.Context, most int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
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

// left counts a submission that was answered, or can't be.
func (p *producer) left(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending--
	if p.err == nil {
		p.err = err
	}
}

// wake lets those go on who wait for room.
func (p *producer) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.room != nil {
		close(p.room)
		p.room = nil
	}
}

// refuse tells of a job of which nothing was sent and that was never counted.
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

// answered tells of an answer to a produced submission, in a connection's goroutine. err names the
// server.
func (x *conn) answered(r *request, p proto.Packet, err error) {
	if r.done != nil {
		id := gearman.JobID{Server: x.s.ep.Addr}
		if err == nil {
			id.Handle = string(p.Data)
		}
		r.done(id, err)
	}
	x.c.producer.left(err)
}
