package operator

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestMemory: much room for garbage during the first minute, little from then on, and unused memory
// is released each minute.
func TestMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type event struct {
			after   time.Duration
			percent int // 0: memory was released
		}
		var got []event
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Second)
		defer cancel()
		err := limitGarbage(ctx, func(percent int) int {
			got = append(got, event{time.Since(began), percent})
			return 100
		}, func() { got = append(got, event{time.Since(began), 0}) })
		want := []event{{0, startPercent}, {time.Minute, heapPercent}, {time.Minute, 0}, {2 * time.Minute, 0}}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, got %v, want %v", err, got, want)
		}
	})
}
