package operator

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// restPercent and busyPercent are by how much the heap may grow over what is in use before garbage is collected. Almost all memory is the caches, which
	// hardly change: at rest the room that the default of 100 leaves for garbage would never be used. A start or a storm of changes makes so much
	// garbage that with little room the collector would be most of the work.
	restPercent = 15
	busyPercent = 50
	// busyCycles is how many collections within lookEvery tell that there is much to do.
	busyCycles = 5
	lookEvery  = 5 * time.Second
	// calmAfter is how long after that it is over, and how often memory is given back then.
	calmAfter = time.Minute
)

// memory keeps the process small while it has little to do, and quick while it has much.
type memory struct {
	set      func(percent int) // as debug.SetGCPercent
	giveBack func()            // as debug.FreeOSMemory

	percent int
	cycles  uint64    // until now
	calmAt  time.Time // when the percentage of rest is due
	backAt  time.Time // when memory was last given back
}

// tendMemory sees to the process's memory until ctx ends.
func tendMemory(ctx context.Context) error {
	m := memory{set: func(percent int) { debug.SetGCPercent(percent) }, giveBack: debug.FreeOSMemory}
	sample := []metrics.Sample{{Name: "/gc/cycles/automatic:gc-cycles"}}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for now := time.Now(); ; {
		metrics.Read(sample)
		m.look(now, sample[0].Value.Uint64())
		select {
		case <-ctx.Done():
			return nil
		case now = <-tick.C:
		}
	}
}

// look is told how many collections there have been.
func (m *memory) look(now time.Time, cycles uint64) {
	if m.calmAt.IsZero() || cycles-m.cycles >= busyCycles {
		m.calmAt = now.Add(calmAfter) // a start is busy too
	}
	m.cycles = cycles
	percent := busyPercent
	if !now.Before(m.calmAt) {
		percent = restPercent
	}
	if percent != m.percent {
		m.percent = percent
		m.set(percent)
	}
	// By itself the Go runtime keeps a good part of what a start or a storm has taken.
	if percent == restPercent && now.Sub(m.backAt) >= calmAfter {
		m.backAt = now
		m.giveBack()
	}
}
