package gearman

import (
	"context"
	"time"
)

// Sleep waits for d, or until ctx ends: then it returns the reason (context.Cause). A d of 0 or
// less doesn't wait.
func Sleep(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil || d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
