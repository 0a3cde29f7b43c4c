package gearman

import (
	"context"
	"time"
)

// Sleep waits for d. If ctx ends first, it returns the reason (context.Cause). It doesn't wait if d
// is 0 or less.
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
