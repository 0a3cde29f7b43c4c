package client

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
)

// Result is the outcome of a task.
type Result struct {
	Task *Task
	ID   gearman.JobID // empty if no server accepted it
	// the result of a foreground task, with the parts that the worker sent before it unless OnData
	// took them
	Data []byte
	Err  error // nil if it completed (foreground) or was accepted (background)
}

// setBatch is how many tasks of a set are written together.
const setBatch = 64

// RunSet runs tasks concurrently, and returns when all have ended or ctx has. It returns a result
// for each task, in their order. The error is that of ctx if ctx ended first, and nil otherwise:
// the error of each task is in its result. Callbacks run in the caller's goroutine, one at a time.
func (c *Client) RunSet(ctx context.Context, tasks ...*Task) ([]Result, error) {
	results := make([]Result, len(tasks))
	err := c.runSet(ctx, tasks, func(i int, r Result) bool {
		results[i] = r
		return true
	})
	return results, err
}

// RunEach is like RunSet, but yields each task's index and result as soon as the task has ended.
// Breaking out of the loop abandons the tasks that are still under way, as the end of ctx does.
func (c *Client) RunEach(ctx context.Context, tasks ...*Task) iter.Seq2[int, Result] {
	return func(yield func(int, Result) bool) {
		_ = c.runSet(ctx, tasks, yield) // each result has its own error
	}
}

// errLeft is the error that middleware gets for the tasks of a loop that the caller left.
var errLeft = errors.New("the caller has left the loop over its results")

// set is a group of tasks that run concurrently.
type set struct {
	c     *Client
	box   *mailbox
	calls []*call
	open  int // calls that haven't ended
	left  bool
	yield func(int, Result) bool
	dirty map[*conn]struct{} // connections with staged packets
}

func (c *Client) runSet(ctx context.Context, tasks []*Task, yield func(int, Result) bool) error {
	s := &set{
		c: c, box: new(mailbox), calls: make([]*call, len(tasks)), open: len(tasks), yield: yield,
		dirty: make(map[*conn]struct{}),
	}
	s.box.init()
	defer s.release()
	closed := c.gate.enter()
	if closed == nil {
		defer c.gate.leave()
	}
	for i, t := range tasks {
		k := &call{task: t, function: t.Function, box: s.box, number: i, result: Result{Task: t}}
		if t.Timeout > 0 {
			k.deadline = time.Now().Add(t.Timeout)
		}
		s.calls[i] = k
	}
	for i, k := range s.calls {
		if s.left {
			return nil
		}
		err := closed
		if err == nil {
			err = k.begin(ctx, c.o.Middleware)
		}
		if err == nil {
			err = k.task.onlyOnce("a set")
		}
		if err == nil {
			err = c.submitTo(ctx, k)
		}
		if err != nil {
			k.end(err)
			s.ended(k)
			continue
		}
		s.dirty[k.conn] = struct{}{}
		if i%setBatch == setBatch-1 {
			s.flush()
			s.handle()
		}
	}
	s.flush()
	return s.wait(ctx)
}

// release ends the calls that are left in the set.
func (s *set) release() {
	for _, k := range s.calls {
		if k == nil {
			continue
		}
		if !k.ended { // the caller has left the loop
			k.ended = true
			if k.done != nil {
				k.done(&Result{Task: k.result.Task, ID: k.result.ID, Err: errLeft})
			}
		}
		k.forget()
	}
	s.c.release(s.box)
}

func (s *set) flush() {
	for x := range s.dirty {
		x.out.flush() // if it fails, the connection's end ends its calls
	}
	clear(s.dirty)
}

func (s *set) handle() {
	for _, ev := range s.box.take() {
		if k := ev.call; !k.ended {
			if k.handle(ev); k.ended {
				s.ended(k)
			}
		}
	}
}

// ended reports a call that has ended.
func (s *set) ended(k *call) {
	s.open--
	if !s.left {
		s.left = !s.yield(k.number, k.result)
	}
}

// wait handles events until no call is open, the caller has left, or ctx ends.
func (s *set) wait(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	next := s.expire()
	for {
		s.handle()
		if !next.IsZero() && !time.Now().Before(next) {
			next = s.expire()
		}
		if s.open == 0 || s.left {
			return nil
		}
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
		select {
		case <-s.box.wake:
		case <-timer.C:
		case <-ctx.Done():
			s.handle()
			if s.open == 0 || s.left {
				return nil
			}
			for _, k := range s.calls {
				if !k.ended {
					k.abandon(context.Cause(ctx))
					s.ended(k)
				}
			}
			return context.Cause(ctx)
		}
	}
}

// expire ends the calls whose own deadline has passed, and returns the next deadline.
func (s *set) expire() time.Time {
	var next time.Time
	now := time.Now()
	for _, k := range s.calls {
		if k.ended || k.deadline.IsZero() {
			continue
		}
		if !k.deadline.After(now) {
			k.abandon(errTaskTime(k.task))
			s.ended(k)
		} else if next.IsZero() || k.deadline.Before(next) {
			next = k.deadline
		}
	}
	return next
}
