package client

import (
	"context"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
)

// Result is what became of a task.
type Result struct {
	Task *Task
	ID   gearman.JobID // empty if no server accepted it
	Data []byte        // the result of a foreground task, with the parts that the worker sent before it unless OnData took them
	Err  error         // nil if it completed (foreground) or was accepted (background)
}

// setBatch is how many tasks of a set are written together.
const setBatch = 64

// RunSet runs tasks side by side and returns when all have ended, or ctx has. It gives a result for each task, in their order; the error is that of
// ctx if it ended first, else nil: what became of each task is in its result. Callbacks run in the caller's goroutine, one at a time.
func (c *Client) RunSet(ctx context.Context, tasks ...*Task) ([]Result, error) {
	box := newMailbox()
	defer c.release(box)
	calls := make([]*call, len(tasks))
	open := 0
	handle := func() {
		for _, ev := range box.take() {
			if was := ev.call.ended; !was {
				if ev.call.handle(ev); ev.call.ended {
					open--
				}
			}
		}
	}
	conns := make(map[*conn]struct{})
	flush := func() {
		for x := range conns {
			x.out.flush() // its calls are told of a failure, by the connection's end
		}
		clear(conns)
	}
	for i, t := range tasks {
		k := &call{task: t, function: t.Function, box: box, result: Result{Task: t}}
		calls[i] = k
		if t.Timeout > 0 {
			k.deadline = time.Now().Add(t.Timeout)
		}
		open++
		if err := c.submitTo(ctx, k); err != nil {
			k.end(err)
			open--
			continue
		}
		conns[k.conn] = struct{}{}
		if i%setBatch == setBatch-1 {
			flush()
			handle()
		}
	}
	flush()
	err := waitSet(ctx, box, calls, &open, handle)
	results := make([]Result, len(calls))
	for i, k := range calls {
		results[i] = k.result
	}
	return results, err
}

// waitSet handles events until no call is open, or ctx ends.
func waitSet(ctx context.Context, box *mailbox, calls []*call, open *int, handle func()) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	next := expire(calls, open)
	for {
		handle()
		if !next.IsZero() && !time.Now().Before(next) {
			next = expire(calls, open)
		}
		if *open == 0 {
			return nil
		}
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
		select {
		case <-box.wake:
		case <-timer.C:
		case <-ctx.Done():
			handle()
			if *open == 0 {
				return nil
			}
			for _, k := range calls {
				if !k.ended {
					k.abandon(context.Cause(ctx))
				}
			}
			return context.Cause(ctx)
		}
	}
}

// expire ends the calls whose own time is up, and says when the next is.
func expire(calls []*call, open *int) time.Time {
	var next time.Time
	now := time.Now()
	for _, k := range calls {
		if k.ended || k.deadline.IsZero() {
			continue
		}
		if !k.deadline.After(now) {
			k.abandon(errTaskTime(k.task))
			*open--
		} else if next.IsZero() || k.deadline.Before(next) {
			next = k.deadline
		}
	}
	return next
}
