//go:build !untended

package operator

import (
	"context"
	"runtime/debug"
)

// memory is the runnable that limits the process's memory. "make bench-scale" shows its gain,
// compared with an operator that is built with the tag untended.
func memory(ctx context.Context) error {
	return limitGarbage(ctx, debug.SetGCPercent, debug.FreeOSMemory)
}
