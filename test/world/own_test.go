//go:build linux

package world

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// TestStands: virtual time that moves is left alone, and time that stands still is detected.
func TestStands(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		times []int64
		want  bool
	}{
		"it moves":            {[]int64{0, 1, 5, 6}, false},
		"it stands":           {[]int64{0, 1, 5, 5}, true},
		"it never moves":      {[]int64{0, 0}, true},
		"it has just started": {[]int64{0}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tick, done := make(chan time.Time), make(chan struct{})
			got := make(chan bool, 1)
			asked := make(chan struct{}, len(tt.times))
			next := 0
			now := func() int64 {
				n := tt.times[next]
				next++
				asked <- struct{}{}
				return n
			}
			go func() { got <- stands(tick, now, done) }()
			for range tt.times {
				tick <- time.Time{}
				<-asked
			}
			if !tt.want {
				close(done)
			}
			if stood := <-got; stood != tt.want {
				t.Errorf("got %t, want %t", stood, tt.want)
			}
		})
	}
}

// TestShrink: of a failing seed's faults those remain that the failure needs, whether it passes or
// fails differently without them.
func TestShrink(t *testing.T) {
	t.Parallel()
	seed := uint64(1)
	for len(NewPlan(seed).Faults) != 4 {
		seed++
	}
	fails := func(invariant string) *played {
		return &played{Result: Result{Violations: []Violation{{Invariant: invariant}}}}
	}
	for name, tt := range map[string]struct {
		run  func(drop []int, times int) (*played, error)
		drop []int
	}{
		"one fault matters": {func(drop []int, _ int) (*played, error) {
			if slices.Contains(drop, 2) {
				return &played{}, nil
			}
			return fails("up"), nil
		}, []int{0, 1, 3}},
		"two faults matter": {func(drop []int, _ int) (*played, error) {
			if slices.Contains(drop, 0) || slices.Contains(drop, 3) {
				return &played{}, nil
			}
			return fails("up"), nil
		}, []int{1, 2}},
		"none matters": {func([]int, int) (*played, error) { return fails("up"), nil }, []int{0, 1, 2, 3}},
		"another invariant fails": {func(drop []int, _ int) (*played, error) {
			if len(drop) > 0 {
				return fails("down"), nil
			}
			return fails("up"), nil
		}, nil},
		"it fails two times of three": {func(_ []int, times int) (*played, error) {
			if times%3 == 0 {
				return &played{}, nil
			}
			return fails("up"), nil
		}, nil},
		"it can't be played": {func([]int, int) (*played, error) { return nil, errors.New("no binary") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			times := 0
			f := &fleet{run: func(_ uint64, drop []int) (*played, error) {
				times++
				return tt.run(drop, times)
			}}
			if drop := f.shrink(seed, "up"); !slices.Equal(drop, tt.drop) {
				t.Errorf("left out %v, want %v", drop, tt.drop)
			}
		})
	}
}

// TestStrides: the first faults of successive seeds go through all kinds.
func TestStrides(t *testing.T) {
	t.Parallel()
	for _, stride := range strides {
		seen := map[uint64]bool{}
		for seed := range uint64(len(kinds)) {
			seen[seed*stride%uint64(len(kinds))] = true
		}
		if len(seen) != len(kinds) {
			t.Errorf(
				"stride %d meets %d of %d kinds: take a number without a common divisor", stride, len(seen), len(kinds),
			)
		}
	}
}

// TestScheduleBounds: a schedule raises the minimum or lowers the maximum only for its time.
func TestScheduleBounds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		plan   SchedulePlan
		at     time.Duration
		lo, hi int32
	}{
		"before":                   {SchedulePlan{Minute: 3, For: time.Minute, Min: 6}, 3*time.Minute - 1, 2, 9},
		"from its start":           {SchedulePlan{Minute: 3, For: time.Minute, Min: 6}, 3 * time.Minute, 6, 9},
		"until its end":            {SchedulePlan{Minute: 3, For: time.Minute, Min: 6}, 4 * time.Minute, 2, 9},
		"a maximum":                {SchedulePlan{Minute: 3, For: time.Minute, Max: 4}, 3 * time.Minute, 2, 4},
		"they cross":               {SchedulePlan{Minute: 3, For: time.Minute, Max: 1}, 3 * time.Minute, 1, 1},
		"below the pool's minimum": {SchedulePlan{Minute: 3, For: time.Minute, Min: 1}, 3 * time.Minute, 2, 9},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if lo, hi := tt.plan.bounds(2, 9, tt.at); lo != tt.lo || hi != tt.hi {
				t.Errorf("got %d to %d, want %d to %d", lo, hi, tt.lo, tt.hi)
			}
		})
	}
}
