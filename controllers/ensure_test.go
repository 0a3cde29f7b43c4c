package controllers

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
)

// TestUnseen: a Deployment that was created is waited for until the cache has shown it, and not forever.
func TestUnseen(t *testing.T) {
	t.Parallel()
	clock := clocktesting.NewFakePassiveClock(time.Unix(1_700_000_000, 0))
	key := types.NamespacedName{Namespace: "ns", Name: "pool"}
	r := &PoolReconciler{clock: clock, drifts: map[types.NamespacedName]*drift{}}
	steps := []struct {
		name   string
		create bool
		after  time.Duration
		exists bool
		want   bool
	}{
		{name: "never created"},
		{name: "just created", create: true, want: true},
		{name: "at the limit", after: unseenFor, want: true},
		{name: "its event never came", after: time.Second},
		{name: "created again", create: true, want: true},
		{name: "shown", exists: true},
		{name: "deleted by somebody: it is made anew at once"},
	}
	for _, s := range steps {
		if s.create {
			r.noteApplied(key, applied{uid: "1", generation: 1}, true, false)
		}
		clock.SetTime(clock.Now().Add(s.after))
		if got := r.unseen(key, &workload{exists: s.exists}); got != s.want {
			t.Errorf("%s: got %v", s.name, got)
		}
	}
}
