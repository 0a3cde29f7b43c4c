package operator

import (
	"slices"
	"testing"
	"time"
)

// TestMemory: much room for garbage from the start until a minute without many collections, and again whenever there are many.
func TestMemory(t *testing.T) {
	t.Parallel()
	began := time.Unix(1_700_000_000, 0)
	type event struct {
		after   time.Duration
		percent int // 0: memory was given back
	}
	var got []event
	var now time.Time
	m := memory{
		set:      func(percent int) { got = append(got, event{now.Sub(began), percent}) },
		giveBack: func() { got = append(got, event{now.Sub(began), 0}) },
	}
	cycles := uint64(100)
	for after := time.Duration(0); after <= 5*time.Minute; after += lookEvery {
		now = began.Add(after)
		switch {
		case after > 120*time.Second && after <= 130*time.Second: // a storm
			cycles += busyCycles
		default:
			cycles += busyCycles - 1
		}
		m.look(now, cycles)
	}
	want := []event{
		{0, busyPercent},
		{calmAfter, restPercent}, {calmAfter, 0}, {2 * calmAfter, 0},
		{125 * time.Second, busyPercent},
		{190 * time.Second, restPercent}, {190 * time.Second, 0}, {250 * time.Second, 0},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
