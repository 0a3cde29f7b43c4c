package gearman

import (
	"math/rand/v2"
	"time"
)

// Backoff is how long to wait before another attempt: Min at first, doubled with each failure, up
// to Max.
type Backoff struct {
	Min, Max time.Duration // defaults 100 ms and 30 s
}

// Delay returns the wait after the given number of consecutive failures (1 or more): the doubled
// time, less a random part of up to half of it, so that the clients of a job server that has come
// back don't all reconnect together.
func (b Backoff) Delay(failures int) time.Duration {
	low, high := b.Min, b.Max
	if low <= 0 {
		low = 100 * time.Millisecond
	}
	if high <= 0 {
		high = 30 * time.Second
	}
	high = max(high, low)
	d := low
	for i := 1; i < failures && d < high; i++ {
		d *= 2
	}
	d = min(d, high)
	return d - rand.N(d/2+1) //nolint:gosec // spreads load, keeps no secret
}
