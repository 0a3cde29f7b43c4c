package scaling

import (
	"testing"
	"time"
)

// TestIdlePodsGoOnGoing: if only some of the pods that were idle for long may be removed at a time,
// the others need not be idle for another whole window.
func TestIdlePodsGoOnGoing(t *testing.T) {
	t.Parallel()
	q := newPool(Policy{MaxReplicas: 20}, 10)
	q.busy(2)
	d := q.ticks(settle)
	if d.Replicas != 2 {
		t.Fatalf("want %d replicas, should want 2", d.Replicas)
	}
	for n := int32(9); n > 2; n-- {
		q.sample.Replicas = n
		q.sample.Pods = q.sample.Pods[:n]
		if d = q.tick(); d.Replicas != 2 {
			t.Errorf("one pod has gone, %d are left: want %d, should want 2 still", n, d.Replicas)
		}
	}
}

// TestEmptinessCountsFromTheFirstEmptySample: with a long poll period, one empty sample after a
// busy one says nothing about the time between.
func TestEmptinessCountsFromTheFirstEmptySample(t *testing.T) {
	t.Parallel()
	q := newPool(Policy{MaxReplicas: 20, Tick: time.Minute, Idle: 30 * time.Second}, 4)
	q.busy(4)
	q.ticks(settle)
	q.busy(0)
	if d := q.tick(); d.Replicas == 0 {
		t.Errorf("want no replica after one empty sample: %+v", d)
	}
	if d := q.tick(); d.Replicas != 0 {
		t.Errorf("want %d replicas after a minute without a job", d.Replicas)
	}
}

// TestRestartWithoutTelemetryHoldsForTheDrain: only a job server knows the jobs of pods without
// telemetry, and a restarted one has lost them.
func TestRestartWithoutTelemetryHoldsForTheDrain(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		happens          func(q *pool)
		withoutTelemetry bool
		want             time.Duration
	}{
		"a restart":            {func(q *pool) { q.sample.PossibleRestart = true }, true, 10 * time.Minute},
		"a function taken out": {func(q *pool) { q.sample.Functions = q.sample.Functions[:1] }, true, 10 * time.Minute},
		"with telemetry":       {func(q *pool) { q.sample.PossibleRestart = true }, false, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := newPool(Policy{MaxReplicas: 20, Drain: 10 * time.Minute, JobTimeHint: time.Second}, 4)
			if tc.withoutTelemetry {
				q.withoutTelemetry()
			}
			q.sample.Functions = append(q.sample.Functions, FunctionSample{Name: "scale", Total: 2, Running: 2})
			if !tc.withoutTelemetry {
				q.sample.Functions[1].Total, q.sample.Functions[1].Running = 0, 0
			}
			q.ticks(settle)
			q.sample.Functions[1].Total, q.sample.Functions[1].Running = 0, 0
			tc.happens(q)
			at := q.now
			q.tick()
			q.sample.PossibleRestart = false
			for q.last.Held == HoldRestart {
				q.tick()
			}
			if held := q.now.Sub(at); held < tc.want || held > tc.want+time.Minute {
				t.Errorf("held for %v, want about %v", held, tc.want)
			}
		})
	}
}

// TestSlotsOfUnreadyPodsAreNotFree: pods of a dead node keep their client IDs at the job server for
// a while. Their idle slots don't show that the queue isn't runnable.
func TestSlotsOfUnreadyPodsAreNotFree(t *testing.T) {
	t.Parallel()
	q := newPool(Policy{MaxReplicas: 20}, 4)
	q.busy(4)
	q.ticks(settle)
	for i := range q.sample.Pods[:2] {
		q.sample.Pods[i].Ready, q.sample.Pods[i].WasReady, q.sample.Pods[i].Busy = false, true, 0
	}
	f := &q.sample.Functions[0]
	f.Busy, f.Running, f.Total = 2, 2, 22
	if d := q.ticks(10); d.NotRunnable || d.Terms.Free != 0 || d.Replicas <= 4 {
		t.Errorf(
			"not runnable %v, %.0f free slots, want %d; should count no slot as free, and grow", d.NotRunnable,
			d.Terms.Free, d.Replicas,
		)
	}
}

// TestGatedPodsAreStarting however long the gate holds them.
func TestGatedPodsAreStarting(t *testing.T) {
	t.Parallel()
	q := newPool(Policy{MaxReplicas: 20, JobTimeHint: time.Second}, 1)
	q.sample.Pods[0] = PodSample{Name: "pod-0", Created: start, Gated: true}
	q.queue(1)
	q.now = start.Add(time.Hour)
	if d := q.ticks(10); d.Replicas != 1 || d.Terms.Starting != 1 {
		t.Errorf(
			"want %d replicas, %.0f slots starting; should want 1, which is starting", d.Replicas, d.Terms.Starting,
		)
	}
}

// TestPlanPods combines both rules: blocked pods are not ordered again, busy ones stay, and a bound
// is obeyed.
func TestPlanPods(t *testing.T) {
	t.Parallel()
	pods := func(n int, change func(i int, p *Pod)) (out []Pod) {
		h := newSetSim(n, int32(n))
		for i := range h.in.Pods {
			change(i, &h.in.Pods[i])
			out = append(out, h.in.Pods[i])
		}
		return out
	}
	idle := func(_ int, p *Pod) { p.Heard = epochOfTest.Add(time.Minute) }
	tests := map[string]struct {
		decision Decision
		change   func(i int, p *Pod)
		complete bool
		want     int32
		patches  int
	}{
		"growth": {Decision{Replicas: 8, Ceiling: 10}, idle, true, 8, 0},
		"no growth beside a pod that can't start": {Decision{Replicas: 5, Ceiling: 10}, func(i int, p *Pod) {
			if idle(i, p); i == 0 {
				*p = Pod{UID: p.UID, Owned: true, Trouble: TroubleUnschedulable}
			}
		}, true, 4, 0},
		"idle pods go": {Decision{Replicas: 1, Ceiling: 10}, idle, true, 1, 0},
		"busy ones stay": {Decision{Replicas: 1, Ceiling: 10}, func(i int, p *Pod) {
			idle(i, p)
			p.Busy = 1
		}, true, 4, 0},
		"idle ones are marked": {Decision{Replicas: 1, Ceiling: 10}, func(i int, p *Pod) {
			idle(i, p)
			p.Busy = int32(i % 2)
		}, true, 4, 2},
		"nothing goes on part of the answers": {Decision{Replicas: 1, Ceiling: 10}, idle, false, 4, 0},
		"nor while the pool is held": {
			Decision{Replicas: 1, Ceiling: 10, Held: HoldRestart}, idle, true, 4, 0,
		},
		"a minimum is ordered whatever can't be": {
			Decision{Replicas: 9, Floor: 9, Ceiling: 10},
			func(_ int, p *Pod) { *p = Pod{UID: p.UID, Owned: true, Trouble: TroubleFailing} }, true, 9, 0,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := epochOfTest.Add(time.Minute)
			f := Facts{Now: now, Replicas: 4, Complete: tc.complete, Answer: now, Newest: now, Pods: pods(4, tc.change)}
			state := PlanState{Removal: RemovalState{Started: epochOfTest}}
			plan, _ := PlanPods(&Policy{MaxReplicas: 10}, &tc.decision, &f, state)
			if plan.Replicas != tc.want || len(plan.Patches) != tc.patches {
				t.Errorf(
					"%d replicas and %d patches, want %d and %d: %+v", plan.Replicas, len(plan.Patches), tc.want,
					tc.patches, plan,
				)
			}
		})
	}
}
