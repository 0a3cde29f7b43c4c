package client

import (
	"context"
	"fmt"

	"github.com/gearman-operator/gearman-operator/gearman"
)

// Middleware is called before a job is submitted, in the caller's goroutine. It may change the
// task, which is a copy. It returns a function that is called once with the outcome of the job; for
// a background job the outcome is whether a job server has accepted it. That function may be nil,
// and may change the result. If the middleware returns an error, nothing is sent, and the call ends
// with that error.
//
// Jobs of sets and of Produce have no goroutine of their own while they are under way. This is why
// a middleware has a beginning and an end instead of wrapping the call. For Produce's jobs a
// connection's goroutine calls the returned function, which must not block.
type Middleware func(ctx context.Context, t *Task) (done func(*Result), err error)

// begin calls the middleware, and stores the functions that it returns for the end of the call.
func (k *call) begin(ctx context.Context, all []Middleware) error {
	if len(all) == 0 {
		return nil
	}
	t := *k.task
	k.task = &t
	done, err := beginAll(ctx, all, &t)
	k.function, k.done = t.Function, done
	return err
}

// beginAll calls all middleware with a copy of the task that it may change. done calls the
// functions they returned, in reverse order; it is never nil.
func beginAll(ctx context.Context, all []Middleware, t *Task) (done func(*Result), err error) {
	ends := make([]func(*Result), 0, len(all))
	for _, m := range all {
		end, failure := m(ctx, t)
		if end != nil {
			ends = append(ends, end)
		}
		if failure != nil {
			err = fmt.Errorf("submit %s: %w", t.Function, failure)
			break
		}
	}
	return func(r *Result) {
		for i := len(ends) - 1; i >= 0; i-- {
			ends[i](r)
		}
	}, err
}

// beginProduce is begin for a job of Produce.
func (c *Client) beginProduce(
	ctx context.Context, given *Task, told func(gearman.JobID, error),
) (*Task, func(gearman.JobID, error), error) {
	if len(c.o.Middleware) == 0 {
		return given, told, nil
	}
	t := *given
	t.Background = true
	done, err := beginAll(ctx, c.o.Middleware, &t)
	return &t, func(id gearman.JobID, err error) {
		r := Result{Task: given, ID: id, Err: err}
		done(&r)
		if told != nil {
			told(r.ID, r.Err)
		}
	}, err
}
