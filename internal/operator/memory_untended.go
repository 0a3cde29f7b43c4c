//go:build untended

package operator

import "context"

// memory leaves the process's memory to the Go runtime, to measure what tendMemory gains.
func memory(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
