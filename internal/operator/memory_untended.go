//go:build untended

package operator

import "context"

// memory does nothing, to measure the gain of limitGarbage.
func memory(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
