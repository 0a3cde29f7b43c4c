package outcome

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// ledger is what the submitter of a pool's jobs knows: when each was submitted, started and ended,
// in seconds.
type ledger struct {
	slots                     []float64 // when each is free again
	submitted, started, ended []float64
}

// submit adds a job, which the next free slot takes.
func (l *ledger) submit(at, takes float64) {
	free := 0
	for i, t := range l.slots {
		if t < l.slots[free] {
			free = i
		}
	}
	start := max(at, l.slots[free])
	l.slots[free] = start + takes
	l.submitted = append(l.submitted, at)
	l.started = append(l.started, start)
	l.ended = append(l.ended, start+takes)
}

// late returns how many jobs waited longer than the target.
func (l *ledger) late(target float64) (n int) {
	for i := range l.started {
		if l.started[i]-l.submitted[i] > target {
			n++
		}
	}
	return n
}

func passed(times []float64, now float64) (n int64) {
	for _, t := range times {
		if t <= now {
			n++
		}
	}
	return n
}

// oneBurst is a pool of four slots: jobs of 50 ms that each find a free slot, a burst of them
// behind jobs of 40 s, and again some that find a free slot.
func oneBurst(rng *rand.Rand) *ledger {
	l := &ledger{slots: make([]float64, 4)}
	at := 20.
	some := func() {
		for range 30 {
			l.submit(at, 0.05)
			at += 0.2 + rng.Float64()
		}
	}
	some()
	for range 4 {
		l.submit(at, 40)
	}
	at += 1 + rng.Float64()
	for range 60 {
		l.submit(at, 0.05)
	}
	at += 60
	some()
	return l
}

// TestLedger checks that the counts match what the submitter knows, including jobs that no poll has
// seen and the last ones before a pool becomes idle.
func TestLedger(t *testing.T) {
	t.Parallel()
	const target = 15.
	for _, lag := range []float64{0, 0.3, 1.5, 4} {
		t.Run(fmt.Sprintf("telemetry %v s behind", lag), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(20) {
				rng := rand.New(rand.NewPCG(seed, 1))
				l := oneBurst(rng)
				var w Waits
				last := slices.Max(l.ended) + 60
				for now := rng.Float64(); now < last; now++ {
					ended := passed(l.ended, now)
					total, running := passed(l.submitted, now)-ended, passed(l.started, now)-ended
					at := start.Add(time.Duration(now * float64(time.Second)))
					w.Observe(at, target*time.Second, 0, []FunctionQueues{{
						Name: "f", Ended: passed(l.ended, now-lag), Busy: float64(running), JobSeconds: 2,
						Queues: []Queue{{Server: servers[0], AsOf: at, Total: total, Running: running}},
					}})
				}
				got, late := w.Started(), l.late(target)
				if math.Abs(got.Total()-float64(len(l.started))) > 0.01 || math.Abs(got.Late-float64(late)) > 0.1 {
					t.Errorf("seed %d: %.2f of %.2f late, want %d of %d", seed, got.Late, got.Total(), late, len(l.started))
				}
			}
		})
	}
}

// TestVanished checks that jobs that vanish from a queue count, with their actual wait, once
// telemetry reports their end. Jobs that were dropped don't count.
func TestVanished(t *testing.T) {
	t.Parallel()
	queued := poll{total: 60, times: 20}
	begun := poll{total: 60, running: 1, busy: -1}
	tests := map[string]struct {
		polls        []poll
		inTime, late float64
	}{
		"more short jobs than the mean time of a job explains": {
			polls: []poll{queued, begun, {times: 3}, {ended: 60}, {times: 100}}, late: 60,
		},
		"some of them were dropped": {
			polls: []poll{queued, begun, {times: 3}, {ended: 21}, {times: 100}}, late: 21,
		},
		"telemetry is too late": {
			polls: []poll{queued, begun, {times: 30}, {ended: 60}, {times: 100}}, late: 11, inTime: 49,
		},
		"the job server lost them": {
			polls: []poll{queued, begun, {lost: true}, {times: 3}, {ended: 3}, {times: 100}}, late: 1, inTime: 3,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := follow(0, append([]poll{{times: 100}}, tt.polls...))
			if got := w.Started(); math.Abs(got.InTime-tt.inTime) > 0.1 || math.Abs(got.Late-tt.late) > 0.1 {
				t.Errorf("in time %.2f, late %.2f; want %.2f and %.2f", got.InTime, got.Late, tt.inTime, tt.late)
			}
		})
	}
}
