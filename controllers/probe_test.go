package controllers

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	testingclock "k8s.io/utils/clock/testing"
)

// TestVerdictIsConfirmed: where workers take jobs, "not runnable" counts only once a later answer of the job server still shows the backlog.
func TestVerdictIsConfirmed(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	pool := types.NamespacedName{Namespace: "ns", Name: "p"}
	tests := map[string]struct {
		verdict verdict
		workers bool
		seen    time.Time
		want    bool
	}{
		"runnable":                        {verdict{at: now, since: now}, true, now.Add(time.Second), false},
		"no workers: at once":             {verdict{notRunnable: true, at: now, since: now}, false, now.Add(-time.Second), true},
		"workers: not by the old answer":  {verdict{notRunnable: true, at: now, since: now}, true, now.Add(-time.Second), false},
		"workers: by a later answer":      {verdict{notRunnable: true, at: now, since: now}, true, now.Add(time.Second), true},
		"workers: the like verdict again": {verdict{notRunnable: true, at: now, since: now.Add(-5 * time.Second)}, true, now.Add(-time.Second), true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProber(nil, testingclock.NewFakePassiveClock(now), nil)
			p.verdicts[pool] = map[string]verdict{"f": tt.verdict}
			if got := p.notRunnable(pool, "f", tt.workers, tt.seen); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}
