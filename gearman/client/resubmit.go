package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
)

// checkResubmit returns an error if Resubmit is invalid.
func (t *Task) checkResubmit() error {
	switch {
	case t.Resubmit < 0:
		return fmt.Errorf("%w: Resubmit is %d, want 0 for never, or more", ErrTask, t.Resubmit)
	case t.Resubmit > 0 && (t.PayloadFrom != nil || t.ResultTo != nil || t.OnData != nil):
		return fmt.Errorf(
			"%w: a job with PayloadFrom, ResultTo or OnData can't be submitted again, leave Resubmit unset", ErrTask,
		)
	}
	return nil
}

// onlyOnce returns an error if Resubmit is set for a method that doesn't resubmit.
func (t *Task) onlyOnce(method string) error {
	if t.Resubmit != 0 {
		return fmt.Errorf(
			"%w: %s submits a job once; Resubmit is for Do, Background and Call", ErrTask, method,
		)
	}
	return nil
}

// prepareResubmit gives a background job that may be resubmitted its key now, so that all
// submissions have the same one.
func (c *Client) prepareResubmit(k *call) {
	k.resubmits = k.task.Resubmit
	if t := k.task; t.Resubmit > 0 && t.Background && t.Key == "" && !t.NoKey {
		own := *t
		own.Key = gearman.Key(c.keys.next())
		k.task = &own
	}
}

// mayResubmit reports whether to resubmit a call that ended with err.
func (k *call) mayResubmit(err error) bool {
	if k.resubmits <= 0 {
		return false
	}
	return isUncertain(err) || errors.Is(err, errNotSent) || k.before != nil && errors.Is(err, ErrNoServer)
}

// isUncertain reports whether a job may run, or have run, although its call ended with err.
func isUncertain(err error) bool {
	return errors.Is(err, ErrUncertain) || errors.Is(err, ErrDisconnected)
}

// resubmit waits, and then runs a lost call once more. It returns the call that has the result.
func (c *Client) resubmit(ctx context.Context, k *call) *call {
	// After lastResort a job server that failed may be tried again, even if it is in quarantine.
	timer := time.NewTimer(max(lastResort, c.backoff.Delay(k.task.Resubmit-k.resubmits+1)))
	defer timer.Stop()
	var cause error
	if ctx.Err() == nil {
		select {
		case <-timer.C:
			next := newCall(k.task)
			next.function, next.result.Task, next.done = k.function, k.result.Task, k.done
			next.resubmits, next.before = k.resubmits-1, k.result.Err
			if isUncertain(k.before) { // no later error changes this
				next.before = k.before
			}
			c.runCall(ctx, next)
			return next
		case <-ctx.Done():
			cause = context.Cause(ctx)
		case <-c.ctx.Done():
			cause = ErrClosed
		}
	}
	if k.lost = false; cause != nil {
		k.result.Err = fmt.Errorf("%w; wait to submit it again: %w", k.result.Err, cause)
	}
	k.tell()
	return k
}
