package client

import (
	"context"
	"fmt"
	"sync/atomic"
)

// gate counts the calls that submit jobs and are under way, and lets no more in once the client is
// being shut down.
type gate struct {
	inside atomic.Int64
	closed atomic.Bool
	empty  chan struct{} // takes one token when the last call has left a closed gate
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
// their result, those in the background and those of Produce when they are accepted or refused. No
// more can be submitted meanwhile (ErrClosed). When ctx ends first the client is closed all the
// same, and Shutdown returns why ctx has ended; the calls that were under way end with ErrClosed.
func (c *Client) Shutdown(ctx context.Context) error {
	c.gate.closed.Store(true)
	err := c.waitEmpty(ctx)
	if err == nil {
		err = c.producer.wait(ctx, 0)
	}
	if err != nil {
		err = fmt.Errorf("shut down the client: %w", err)
	}
	_ = c.Close() // it has no errors
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
		case <-c.ctx.Done(): // closed by somebody else
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%d calls are still under way: %w", n, context.Cause(ctx))
		}
	}
}
