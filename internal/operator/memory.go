package operator

import (
	"context"
	"time"
)

const (
	// heapPercent is by how much the heap may grow over the memory in use before garbage is
	// collected: almost all memory is the caches, which hardly change, and the room that the
	// default of 100 leaves for garbage would never be used.
	heapPercent = 10
	// startPercent is the same during the first minute. A start makes so much garbage that with
	// less room the collector would do most of the work.
	startPercent = 50
	// releaseEvery is how often unused memory is released: by itself the Go runtime keeps much of
	// what a start or a burst of changes has allocated.
	releaseEvery = time.Minute
)

// limitGarbage keeps the process small once it has started, until ctx ends. set and release are
// debug.SetGCPercent and debug.FreeOSMemory, except in tests.
func limitGarbage(ctx context.Context, set func(percent int) int, release func()) error {
	set(startPercent)
	tick := time.NewTicker(releaseEvery)
	defer tick.Stop()
	for started := false; ; started = true {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if !started {
			set(heapPercent)
		}
		release()
	}
}
