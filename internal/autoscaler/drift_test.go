package autoscaler

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// TestUnseen: a created Deployment is awaited until the cache has shown it, and not forever.
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

// TestRecreateWait: the wait gets longer for each of the Deployments that are deleted one after the
// other, and is finally reported; one that stays for a while resets it.
func TestRecreateWait(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	p := &Pool{}
	if wait, contested := p.RecreateWait(now); wait != 0 || contested {
		t.Errorf("the first Deployment waits %s, contested %v", wait, contested)
	}
	for n, want := range []time.Duration{1, 2, 4, 8} {
		p.RecordCreated(now)
		wait, contested := p.RecreateWait(now)
		if wait != want*time.Second || contested {
			t.Errorf("after %d of them the next waits %s, contested %v; want %d s", n+1, wait, contested, want)
		}
		if wait, _ := p.RecreateWait(now.Add(wait)); wait != 0 {
			t.Errorf("after %d of them and its time the next waits %s", n+1, wait)
		}
		now = now.Add(wait)
	}
	p.RecordCreated(now)
	if _, contested := p.RecreateWait(now.Add(contestedWait - 1)); !contested {
		t.Error("the fifth is gone too, and that is not contested")
	}
	if wait, contested := p.RecreateWait(now.Add(contestedWait)); wait != 0 || contested {
		t.Errorf("a contest waits %s, and goes on: %v", wait, contested)
	}
	now = now.Add(recreateWindow + 1)
	if wait, contested := p.RecreateWait(now); wait != 0 || contested {
		t.Errorf("one that stayed for long waits %s, contested %v", wait, contested)
	}
	if p.RecordCreated(now); p.recreation.lost != 0 {
		t.Errorf("%d Deployments before one that stayed for long count", p.recreation.lost)
	}
}

// TestContestOutlivesSuspension: the pool is suspended because its Deployments are deleted, and must
// not create the next one for that reason.
func TestContestOutlivesSuspension(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	key := types.NamespacedName{Namespace: "team", Name: "pool"}
	now := time.Unix(1_700_000_000, 0)
	r.Do(key, func(p *Pool) {
		for range maxRecreated + 1 {
			p.RecordCreated(now)
		}
	})
	r.suspend(key)
	r.Do(key, func(p *Pool) {
		if wait, contested := p.RecreateWait(now); wait != contestedWait || !contested {
			t.Errorf("the next Deployment waits %s, contested %v", wait, contested)
		}
	})
}

// TestDrift: a change of what the operator owns is detected, what the operator does itself is none,
// and a repeated edit is left.
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

// TestContest: one change of replicas by another writer is reverted, a second within the window is
// left.
func TestContest(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	w := &workload.State{UID: "u", Generation: 1, Replicas: 2}
	p := &Pool{}
	see := func(generation int64, replicas int32, after time.Duration) bool {
		w.Generation, w.Replicas, now = generation, replicas, now.Add(after)
		return p.ObserveReplicas(w, v1alpha1.ModeAuto, now)
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

// TestContestLeavesTheLastLeaderOut: late writes of the previous leader are reverted and not
// counted; other writers' changes still are.
func TestContestLeavesTheLastLeaderOut(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	p := &Pool{}
	w := &workload.State{UID: "u", Generation: 1, Replicas: 2}
	see := func(replicas int32, own bool) bool {
		w.Generation, w.Replicas, w.OwnReplicas = w.Generation+1, replicas, own
		return p.ObserveReplicas(w, v1alpha1.ModeAuto, now)
	}
	for i, replicas := range []int32{2, 9, 4, 7} {
		if see(replicas, true) {
			t.Errorf("write %d of the leader before is a contest", i)
		}
	}
	if see(5, false) || !see(6, false) {
		t.Error("want the second change by somebody else to be a contest")
	}
}

// TestContestAfterALostAnswer: a write whose answer was lost may be seen after the next one was
// answered, since the scale of a target has no generation. Both are the operator's.
func TestContestAfterALostAnswer(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	w := &workload.State{UID: "u", Generation: 3, Replicas: 10}
	p := &Pool{}
	see := func(generation int64, replicas int32) int {
		w.Generation, w.Replicas = generation, replicas
		p.ObserveReplicas(w, v1alpha1.ModeAuto, now)
		return len(p.scale.foreign)
	}
	see(3, 10)
	p.WillWriteReplicas(4) // this became generation 4
	see(3, 10)
	p.WillWriteReplicas(7)
	p.WroteReplicas(7, 4) // this became generation 5
	if see(4, 4)+see(5, 7) != 0 {
		t.Error("the operator's own writes count as somebody else's")
	}
	if see(6, 4) != 1 {
		t.Error("want a change to what was written long ago to count")
	}
	p.WillWriteReplicas(8)
	p.WroteReplicas(8, 7)
	if see(7, 8) != 1 || see(8, 7) != 2 {
		t.Error("want every further change to count")
	}
}

// TestContestCountsOthersOnly: the operator's own writes without an answer, and others' changes
// while it sets no replicas, are no contest.
func TestContestCountsOthersOnly(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	type step struct {
		mode     v1alpha1.ScalingMode
		write    int32 // without an answer, before the replicas are seen
		replicas int32
		want     bool
	}
	auto, paused, dryRun := v1alpha1.ModeAuto, v1alpha1.ModePaused, v1alpha1.ModeDryRun
	tests := map[string][]step{
		"lost answers": {
			{auto, 0, 1, false}, {auto, 5, 5, false}, {auto, 9, 9, false}, {auto, 3, 3, false},
		},
		"an answer lost twice": {
			{auto, 0, 1, false}, {auto, 5, 1, false}, {auto, 6, 5, false}, {auto, 7, 7, false},
		},
		"others too": {{auto, 0, 1, false}, {auto, 5, 4, false}, {auto, 6, 3, true}},
		"changed while paused": {
			{paused, 0, 1, false},
			{paused, 0, 2, false},
			{paused, 0, 3, false},
			{auto, 0, 3, false},
			{auto, 0, 4, false},
		},
		"changed in a dry run": {
			{dryRun, 0, 1, false}, {dryRun, 0, 2, false}, {dryRun, 0, 3, false}, {auto, 0, 4, false},
		},
		"a change of mode begins anew": {
			{auto, 0, 1, false}, {auto, 0, 2, false}, {auto, 0, 3, true}, {paused, 0, 3, false}, {auto, 0, 3, false},
		},
		"Manual sets replicas too": {
			{v1alpha1.ModeManual, 0, 1, false}, {v1alpha1.ModeManual, 0, 2, false}, {v1alpha1.ModeManual, 0, 3, true},
		},
		"more writes than are remembered": {
			{auto, 0, 1, false},
			{auto, 2, 1, false},
			{auto, 3, 1, false},
			{auto, 4, 1, false},
			{auto, 5, 1, false},
			{auto, 6, 1, false},
			{auto, 7, 1, false},
			{auto, 8, 1, false},
			{auto, 9, 1, false},
			{auto, 10, 10, false},
			{auto, 0, 9, false},
		},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &Pool{}
			w := &workload.State{UID: "u", Generation: 1}
			for i, s := range steps {
				if s.write != 0 {
					p.WillWriteReplicas(s.write)
				}
				if s.replicas != w.Replicas {
					w.Replicas, w.Generation = s.replicas, w.Generation+1
				}
				if got := p.ObserveReplicas(w, s.mode, now); got != s.want {
					t.Errorf("step %d: contested %v, want %v", i, got, s.want)
				}
				if n := len(p.scale.intents); n > maxIntents {
					t.Errorf("%d writes are remembered", n)
				}
			}
		})
	}
}
