package client

import (
	"context"
	"fmt"
	"sync/atomic"
)

// gate counts the job submissions that are under way, and admits no more once the client is
// shutting down.
type gate struct {
	inside atomic.Int64
	closed atomic.Bool
	empty  chan struct{} // receives one token when the last call has left a closed gate
}

func (g *gate) enter() error {
	g.inside.Add(1)
	if g.closed.Load() {
		g.leave()
		return fmt.Errorf("%w: it is being shut down", ErrClosed)
	}
	return nil
}

func (g *gate) leave() {
	if g.inside.Add(-1) == 0 && g.closed.Load() {
		select {
		case g.empty <- struct{}{}:
		default:
		}
	}
}

// Shutdown closes the client once the jobs that are under way have ended: foreground jobs with
// their result, background jobs and those of Produce when they are accepted or refused. No more
// jobs can be submitted meanwhile (ErrClosed). If ctx ends first, the client is closed all the
// same, and Shutdown returns the reason why ctx has ended; calls that were under way end with
// ErrClosed.
func (c *Client) Shutdown(ctx context.Context) error {
	c.gate.closed.Store(true)
	err := c.waitEmpty(ctx)
	if err == nil {
		err = c.producer.wait(ctx, 0)
	}
	if err != nil {
		err = fmt.Errorf("shut down the client: %w", err)
	}
	_ = c.Close() // never fails
	return err
}

func (c *Client) waitEmpty(ctx context.Context) error {
	for {
		n := c.gate.inside.Load()
		if n == 0 {
			return nil
		}
		select {
		case <-c.gate.empty:
		case <-c.ctx.Done(): // another goroutine called Close
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%d calls are still under way: %w", n, context.Cause(ctx))
		}
	}
}
