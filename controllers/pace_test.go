package controllers

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// TestPacer: beyond the burst, writes come at the rate, in the order in which they were asked for, and whoever waits keeps its turn.
func TestPacer(t *testing.T) {
	t.Parallel()
	p := newPacer(10, 2)
	now := time.Unix(1_700_000_000, 0)
	key := func(i int) types.NamespacedName { return types.NamespacedName{Namespace: "ns", Name: fmt.Sprint(i)} }
	for i, want := range []time.Duration{0, 0, 100 * time.Millisecond, 200 * time.Millisecond} {
		if got := p.wait(key(i), now); got != want {
			t.Errorf("pool %d waits %v, want %v", i, got, want)
		}
	}
	if got := p.waiting(); got != 2 {
		t.Errorf("%d pools wait, want 2", got)
	}
	now = now.Add(60 * time.Millisecond)
	if got := p.wait(key(2), now); got != 40*time.Millisecond {
		t.Errorf("asked again, a pool waits %v, want the rest of its turn, 40ms", got)
	}
	now = now.Add(40 * time.Millisecond)
	if got := p.wait(key(2), now); got != 0 {
		t.Errorf("at its turn a pool waits %v", got)
	}
	if got := p.wait(key(2), now); got != 200*time.Millisecond {
		t.Errorf("its next write waits %v, want to be the last in the line, 200ms", got)
	}
	p.forget(key(2))
	p.forget(key(3))
	if got := p.waiting(); got != 0 {
		t.Errorf("%d pools wait after they were forgotten", got)
	}
}

// TestTurnForNothing: a pool that has nothing to write any more when its turn comes gives it up.
func TestTurnForNothing(t *testing.T) {
	t.Parallel()
	clock := clocktesting.NewFakePassiveClock(time.Unix(1_700_000_000, 0))
	r := &PoolReconciler{clock: clock, pacer: newPacer(1, 1), autoscaler: NewAutoscaler(nil, clock)}
	r.pacer.wait(types.NamespacedName{Name: "another"}, clock.Now())
	pool := &v1alpha1.GearmanWorkerPool{}
	if turn, err := r.writeStatus(t.Context(), pool, workload{}, facts{polled: true}, view{}); turn <= 0 || err != nil || r.pacer.waiting() != 1 {
		t.Fatalf("turn %v, %v, %d wait; want one that waits", turn, err, r.pacer.waiting())
	}
	if turn, err := r.writeStatus(t.Context(), pool, workload{}, facts{}, view{}); turn != 0 || err != nil || r.pacer.waiting() != 0 {
		t.Errorf("turn %v, %v, %d wait; want none", turn, err, r.pacer.waiting())
	}
}

// TestStatusGap: a pool's status is not written twice within moments, but for a new spec or a change of replicas.
func TestStatusGap(t *testing.T) {
	t.Parallel()
	clock := clocktesting.NewFakePassiveClock(time.Unix(1_700_000_000, 0))
	pool := &v1alpha1.GearmanWorkerPool{ObjectMeta: metav1.ObjectMeta{Name: "pool"}}
	key := types.NamespacedName{Name: "pool"}
	for name, tt := range map[string]struct {
		written, scaled time.Duration // ago
		generation      int64
		want            time.Duration
		inLine          int
	}{
		"just written":              {500 * time.Millisecond, time.Second, 0, 1500 * time.Millisecond, 0},
		"long ago":                  {statusGap, time.Minute, 0, time.Second, 1},
		"just written, a new spec":  {500 * time.Millisecond, time.Minute, 1, time.Second, 1},
		"just written, then scaled": {500 * time.Millisecond, 0, 0, time.Second, 1},
	} {
		r := &PoolReconciler{clock: clock, pacer: newPacer(1, 1), autoscaler: NewAutoscaler(nil, clock)}
		r.pacer.wait(types.NamespacedName{Name: "another"}, clock.Now())
		r.autoscaler.pools[key] = &entry{written: written{at: clock.Now().Add(-tt.written)}, scaledAt: clock.Now().Add(-tt.scaled)}
		pool.Generation = tt.generation
		turn, err := r.writeStatus(t.Context(), pool, workload{}, facts{polled: true}, view{})
		if turn != tt.want || err != nil || r.pacer.waiting() != tt.inLine {
			t.Errorf("%s: turn %v, %v, %d in the line; want %v, %d", name, turn, err, r.pacer.waiting(), tt.want, tt.inLine)
		}
	}
}

func TestFiguresMoved(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		from, to figures
		want     bool
	}{
		"nothing":                    {figures{queued: 5}, figures{queued: 5}, false},
		"a tenth":                    {figures{queued: 100}, figures{queued: 110}, false},
		"more than a tenth up":       {figures{queued: 100}, figures{queued: 112}, true},
		"more than a tenth down":     {figures{running: 100}, figures{running: 89}, true},
		"from zero":                  {figures{}, figures{running: 1}, true},
		"to zero":                    {figures{queued: 1}, figures{}, true},
		"another boot time":          {figures{boot: 1000}, figures{boot: 2000}, true},
		"hardly another job time":    {figures{jobs: 1000}, figures{jobs: 1001}, false},
		"a job time where none was":  {figures{}, figures{jobs: 1}, true},
		"one down, another up":       {figures{queued: 10, running: 10}, figures{queued: 20, running: 10}, true},
		"a little of each of them":   {figures{queued: 100, running: 100, boot: 100, jobs: 100}, figures{105, 95, 101, 99}, false},
		"one of ten is just a tenth": {figures{queued: 10}, figures{queued: 9}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tt.from.moved(tt.to); got != tt.want {
				t.Errorf("moved: %v, want %v", got, tt.want)
			}
		})
	}
}

// TestWorthWriting: replicas go before everything else, what has been noted is not reconciled again, and figures alone wait for their minute.
func TestWorthWriting(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	base := view{at: now, decision: scaling.Decision{Replicas: 2, Apply: true, Reason: scaling.ReasonIdle}}
	tests := map[string]struct {
		mutate   func(*entry)
		write    bool
		priority int
	}{
		"nothing new":             {func(*entry) {}, false, priorityStatus},
		"other replicas":          {func(e *entry) { e.view.decision.Replicas = 3 }, true, priorityScale},
		"other replicas, dry run": {func(e *entry) { e.view.decision.Replicas, e.view.decision.Apply = 3, false }, true, priorityStatus},
		"another reason":          {func(e *entry) { e.view.decision.Reason = scaling.ReasonPaused }, true, priorityStatus},
		"figures moved, too soon": {func(e *entry) { e.written.figures.queued = 5; e.written.at = now.Add(-59 * time.Second) }, false, priorityStatus},
		"long not looked at":      {func(e *entry) { e.refreshAt = now }, true, priorityStatus},
		"figures moved":           {func(e *entry) { e.written.figures.queued = 5; e.written.at = now.Add(-time.Minute) }, true, priorityStatus},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &entry{view: base, written: written{mark: markOf(base)}, refreshAt: now.Add(time.Second)}
			e.facts.workload.replicas = 2
			tt.mutate(e)
			if write, priority := e.worthWriting(now); write != tt.write || priority != tt.priority && write {
				t.Errorf("got %v, %d, want %v, %d", write, priority, tt.write, tt.priority)
			}
		})
	}
}

// TestAgain: a pool comes back for its turn to write, or after a refresh that varies; the Autoscaler sees to those that have no reason but time.
func TestAgain(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		refresh, turn, least, most time.Duration
	}{
		"nothing to wait for":     {refreshEvery, 0, 0, 0},
		"its turn":                {refreshEvery, time.Second, time.Second, time.Second},
		"a secret":                {time.Minute, 0, time.Minute, 72 * time.Second},
		"its turn comes first":    {time.Minute, time.Second, time.Second, time.Second},
		"its turn comes too late": {time.Minute, time.Hour, time.Minute, 72 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := again(tt.refresh, tt.turn).RequeueAfter; got < tt.least || got > tt.most {
				t.Errorf("after %v, want %v to %v", got, tt.least, tt.most)
			}
		})
	}
}

// TestMarkOfServers: whatever of a job server shows in a pool's status or conditions makes another mark.
func TestMarkOfServers(t *testing.T) {
	t.Parallel()
	base := backlog.ServerSample{Address: "jobs:4730", Resolved: netip.MustParseAddrPort("10.0.0.1:4730"), State: backlog.StateOK}
	of := func(mutate func(*backlog.ServerSample)) mark {
		s := base
		mutate(&s)
		return markOf(view{sample: backlog.Sample{Servers: []backlog.ServerSample{s}}})
	}
	same := of(func(s *backlog.ServerSample) { s.LastGood = time.Unix(1_700_000_000, 0) })
	if same != of(func(*backlog.ServerSample) {}) {
		t.Error("a newer answer alone makes another mark")
	}
	for name, mutate := range map[string]func(*backlog.ServerSample){
		"address":       func(s *backlog.ServerSample) { s.Resolved = netip.MustParseAddrPort("10.0.0.2:4730") },
		"state":         func(s *backlog.ServerSample) { s.State = backlog.StateTimedOut },
		"load balanced": func(s *backlog.ServerSample) { s.LoadBalanced = true },
	} {
		if of(mutate) == same {
			t.Errorf("another %s makes no other mark", name)
		}
	}
}
