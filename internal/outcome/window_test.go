package outcome

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// play feeds a window one step per minute, and returns it with the last state of the counters.
func play(steps ...func(minute int, c *Counts)) (w Window, c Counts, now time.Time) {
	now = start
	w.Observe(now, c)
	minute := 0
	for _, step := range steps {
		for range 15 {
			minute++
			now = now.Add(time.Minute)
			step(minute, &c)
			w.Observe(now, c)
		}
	}
	return w, c, now
}

func completes(_ int, c *Counts) { c.Completed += 10 }
func fails(_ int, c *Counts)     { c.Failed += 10 }
func oneInFive(_ int, c *Counts) { c.Completed += 8; c.Failed += 2 }
func mostFail(_ int, c *Counts)  { c.Completed++; c.Failed += 4 }
func rests(_ int, _ *Counts)     {}
func oneFails(minute int, c *Counts) {
	if minute%10 == 0 {
		c.Failed++
	}
}

func TestFailing(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		steps []func(int, *Counts)
		want  bool
	}{
		"all complete":            {steps: []func(int, *Counts){completes, completes}},
		"all fail from the start": {steps: []func(int, *Counts){fails}, want: true},
		"a bad image after a good one": {
			steps: []func(int, *Counts){completes, completes, completes, fails}, want: true,
		},
		"some always fail": {steps: []func(int, *Counts){oneInFive, oneInFive, oneInFive}},
		"most always fail, as usual": {
			steps: []func(int, *Counts){mostFail, mostFail, mostFail, mostFail}, want: true,
		}, // reported when it began
		"a few failures are no trend": {steps: []func(int, *Counts){oneFails, oneFails}},
		"fixed":                       {steps: []func(int, *Counts){fails, completes}},
		"half fixed is not fixed": {
			steps: []func(int, *Counts){fails, func(_ int, c *Counts) { c.Completed += 6; c.Failed += 4 }}, want: true,
		},
		"nothing runs any more": {steps: []func(int, *Counts){fails, rests}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _, _ := play(tt.steps...)
			if w.Failing() != tt.want {
				t.Errorf("failing is %v, want %v; last hour %+v", w.Failing(), tt.want, w.LastHour())
			}
		})
	}
}

func TestWindowCounts(t *testing.T) {
	t.Parallel()
	// Jobs that were counted before the window started don't belong to it.
	var w Window
	w.Observe(start, Counts{Completed: 1000, Failed: 500})
	w.Observe(start.Add(time.Second), Counts{Completed: 1003, Failed: 501, Requeued: 2})
	want := Counts{Completed: 3, Failed: 1, Requeued: 2}
	if diff := cmp.Diff(want, w.LastHour()); diff != "" {
		t.Errorf("last hour (-want +got):\n%s", diff)
	}
	// Counters that restart don't make the counts negative.
	w.Observe(start.Add(2*time.Second), Counts{})
	w.Observe(start.Add(3*time.Second), Counts{Completed: 1})
	want.Completed++
	if diff := cmp.Diff(want, w.Total()); diff != "" {
		t.Errorf("total (-want +got):\n%s", diff)
	}
	// An hour later only the total includes the jobs. A clock that is set back changes nothing.
	w.Observe(start.Add(62*time.Minute), Counts{Completed: 1})
	w.Observe(start.Add(50*time.Minute), Counts{Completed: 1})
	if diff := cmp.Diff(Counts{}, w.LastHour()); diff != "" {
		t.Errorf("an hour later (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, w.Total()); diff != "" {
		t.Errorf("total (-want +got):\n%s", diff)
	}
	// The last hour is at least 55 minutes long.
	w, c, _ := play(completes, completes, completes)
	if w.LastHour() != c {
		t.Errorf("after 45 minutes: %+v, want %+v", w.LastHour(), c)
	}
}
