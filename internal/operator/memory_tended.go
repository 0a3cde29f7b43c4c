//go:build !untended

package operator

import (
	"context"
	"runtime/debug"
)

// memory is the runnable that sees to the process's own memory. What it gains is what "make
// bench-scale" shows beside an operator that is built with the tag untended.
func memory(ctx context.Context) error {
	return tendMemory(ctx, debug.SetGCPercent, debug.FreeOSMemory)
}
