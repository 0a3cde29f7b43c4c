package scaling

import (
	"testing"
	"time"
)

// TestDrains: pods with several slots may be removed while they run jobs only if these end with
// some time to spare.
func TestDrains(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		concurrency int32
		drain       time.Duration
		want        bool
	}{
		"one slot":                             {1, time.Hour, false},
		"time to spare":                        {2, 40 * time.Second, true},
		"no time for what the runtime takes":   {2, 39 * time.Second, false},
		"jobs that take longer than the drain": {2, 20 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := State{Functions: []Function{{Mean: 5, Longest: 30}}}
			if got := s.drains(&Policy{Concurrency: tt.concurrency, Drain: tt.drain}); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}

// TestGatedIsNotBlocked: a pod that a scheduling gate holds is starting, however long that takes.
func TestGatedIsNotBlocked(t *testing.T) {
	t.Parallel()
	now := epochOfTest
	for trouble, want := range map[Trouble]bool{
		TroubleGated: false, TroubleUnschedulable: true, TroubleFailing: true, TroubleNone: true,
	} {
		p := Pod{Created: now.Add(-time.Hour), Trouble: trouble}
		if got := p.Blocked(now, time.Second); got != want {
			t.Errorf("trouble %v: got %t, want %t", trouble, got, want)
		}
	}
}
