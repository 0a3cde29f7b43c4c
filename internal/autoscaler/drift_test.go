package autoscaler

import (
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// TestUnseen: a Deployment that was created is waited for until the cache has shown it, and not forever.
func TestUnseen(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	p := &Pool{}
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
			p.WroteTemplate(Applied{UID: "1", Generation: 1}, true, false, now)
		}
		now = now.Add(s.after)
		if got := p.Unseen(&workload.State{Exists: s.exists}, now); got != s.want {
			t.Errorf("%s: got %v", s.name, got)
		}
	}
}

// TestDrift: a change of what the operator owns is found, what the operator does itself is none, and an edit that comes again and again is left.
func TestDrift(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	at := func(generation int64, applied, live string) *workload.State {
		return &workload.State{Exists: true, UID: "u", Generation: generation, AppliedFields: applied, LiveFields: live}
	}
	p := &Pool{}
	if p.Drifted(at(1, "x", "x")) || !p.Drifted(at(1, "x", "y")) {
		t.Error("without memory drift is what differs from the note on the Deployment")
	}
	p.WroteTemplate(Applied{UID: "u", Generation: 3, Fields: "z"}, false, false, now)
	if p.Drifted(at(2, "x", "y")) {
		t.Error("an old state of the cache counts as drift")
	}
	if p.Drifted(at(3, "x", "z")) || !p.Drifted(at(3, "x", "y")) {
		t.Error("what the last apply left is no drift, and anything else is")
	}
	if p.Drifted(at(4, "z", "z")) || p.drift != nil {
		t.Error("once the cache shows the apply there is nothing to remember")
	}
	for range maxEdits {
		if p.EditsContested(now) {
			t.Error("contested too early")
		}
		p.WroteTemplate(Applied{UID: "u", Generation: 5, Fields: "z"}, false, true, now)
	}
	if !p.EditsContested(now) || p.EditsContested(now.Add(ContestWindow+1)) {
		t.Error("want the edit to be left, for a while")
	}
}

// TestContest: one change of replicas by somebody else is put back, a second within the window is left.
func TestContest(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	w := &workload.State{UID: "u", Generation: 1, Replicas: 2}
	p := &Pool{}
	see := func(generation int64, replicas int32, after time.Duration) bool {
		w.Generation, w.Replicas, now = generation, replicas, now.Add(after)
		return p.ObserveReplicas(w, now)
	}
	if see(1, 2, 0) || see(2, 3, time.Second) || !see(3, 4, time.Second) {
		t.Error("want the second change to be left")
	}
	if see(4, 5, ContestWindow+1) {
		t.Error("want a change after a long time to be put back")
	}
	p.WroteReplicas(6, 6)
	if see(5, 5, ContestWindow+1); len(p.scale.foreign) != 0 {
		t.Error("a state from before the last write counts as a change")
	}
	w.UID = "another"
	if see(1, 9, 0) || p.scale.written != 9 {
		t.Error("a Deployment that was created anew starts over")
	}
}
