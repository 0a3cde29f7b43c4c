package scaling

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// pool plays a pool by hand: its fields are what the next sample says.
type pool struct {
	policy Policy
	state  State
	sample Sample
	now    time.Time
	last   Decision
}

func newPool(p Policy, replicas int32) *pool {
	q := &pool{policy: p, state: NewState(Learnt{}, start), now: start}
	q.sample.Functions = []FunctionSample{{Name: "resize"}}
	q.sample.Replicas = replicas
	q.pods(replicas)
	return q
}

// pods sets so many ready, idle pods with telemetry.
func (q *pool) pods(n int32) {
	q.sample.Pods = nil
	for i := range n {
		q.sample.Pods = append(q.sample.Pods, PodSample{
			Name: fmt.Sprintf("pod-%d", i), Created: start.Add(-time.Hour), Registered: start.Add(-time.Hour), Ready: true, Telemetry: true, Capacity: 1, Since: start.Add(time.Duration(i) * time.Second),
		})
	}
}

// busy makes the first n pods busy with the first function.
func (q *pool) busy(n int) {
	for i := range q.sample.Pods {
		q.sample.Pods[i].Busy = 0
		if i < n {
			q.sample.Pods[i].Busy = 1
		}
	}
	f := &q.sample.Functions[0]
	queued := f.Total - f.Running
	f.Busy, f.Running = int64(n), int64(n)
	f.Total = f.Running + queued
}

func (q *pool) queue(n int64) {
	f := &q.sample.Functions[0]
	f.Total = f.Running + n
}

// tick decides once, a tick later.
func (q *pool) tick() Decision {
	q.now = q.now.Add(max(q.policy.Tick, 0))
	if q.policy.Tick <= 0 {
		q.now = q.now.Add(5 * time.Second)
	}
	f := &q.sample.Functions[0]
	f.BusySeconds += float64(f.Busy) * 5
	q.last, q.state = Decide(q.policy, q.state, q.sample, q.now)
	return q.last
}

func (q *pool) ticks(n int) Decision {
	for range n {
		q.tick()
	}
	return q.last
}

type outcome struct {
	Replicas int32
	Reason   Reason
	Limited  Limit
	Held     Hold
	Apply    bool
	Victims  []string
}

func (d Decision) outcome() outcome {
	return outcome{d.Replicas, d.Reason, d.Limited, d.Held, d.Apply, d.Victims}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	const settle = 30 // ticks, well over any window
	tests := map[string]struct {
		policy   Policy
		replicas int32
		play     func(q *pool) Decision
		want     outcome
	}{
		"empty and at zero: stays": {
			policy: Policy{MaxReplicas: 10},
			play:   func(q *pool) Decision { return q.ticks(settle) },
			want:   outcome{0, ReasonSteady, "", "", true, nil},
		},
		"from zero at once": {
			policy: Policy{MaxReplicas: 10},
			play:   func(q *pool) Decision { q.tick(); q.queue(1); return q.tick() },
			want:   outcome{1, ReasonFromZero, "", HoldStart, true, nil},
		},
		"a minimum is filled at once": {
			policy: Policy{MinReplicas: 2, MaxReplicas: 10},
			play:   func(q *pool) Decision { return q.tick() },
			want:   outcome{2, ReasonBelowMinimum, LimitMinimum, HoldStart, true, nil},
		},
		"the maximum bounds a flood": {
			policy:   Policy{MaxReplicas: 10, JobsPerReplica: 1},
			replicas: 1,
			play:     func(q *pool) Decision { q.tick(); q.busy(1); q.queue(100000); return q.tick() },
			want:     outcome{10, ReasonJobsPerReplica, LimitMaximum, HoldStart, true, nil},
		},
		"jobsPerReplica": {
			policy:   Policy{MaxReplicas: 100, JobsPerReplica: 10},
			replicas: 1,
			play:     func(q *pool) Decision { q.tick(); q.busy(1); q.queue(95); return q.tick() },
			want:     outcome{10, ReasonJobsPerReplica, "", HoldStart, true, nil},
		},
		"to zero when empty": {
			policy:   Policy{MaxReplicas: 10},
			replicas: 2,
			play:     func(q *pool) Decision { return q.ticks(settle) },
			want:     outcome{0, ReasonEmpty, "", "", true, []string{"pod-0", "pod-1"}},
		},
		"to the minimum when empty": {
			policy:   Policy{MinReplicas: 1, MaxReplicas: 10},
			replicas: 2,
			play:     func(q *pool) Decision { return q.ticks(settle) },
			want:     outcome{1, ReasonEmpty, LimitMinimum, "", true, []string{"pod-0"}},
		},
		"idle pods go, busy ones stay": {
			policy:   Policy{MaxReplicas: 10},
			replicas: 4,
			play:     func(q *pool) Decision { q.busy(2); return q.ticks(settle) },
			want:     outcome{2, ReasonIdle, "", "", true, []string{"pod-2", "pod-3"}},
		},
		"nothing shrinks just after the start": {
			policy:   Policy{MaxReplicas: 10},
			replicas: 4,
			play:     func(q *pool) Decision { return q.ticks(4) },
			want:     outcome{4, ReasonHeld, "", HoldStart, true, nil},
		},
		"nothing shrinks on partial samples": {
			policy:   Policy{MaxReplicas: 10},
			replicas: 4,
			play:     func(q *pool) Decision { q.sample.Partial = true; return q.ticks(100) },
			want:     outcome{4, ReasonSteady, "", HoldPartial, true, nil},
		},
		"partial samples may grow": {
			policy:   Policy{MaxReplicas: 10, JobsPerReplica: 10},
			replicas: 1,
			play: func(q *pool) Decision {
				q.tick()
				q.sample.Partial = true
				q.busy(1)
				q.queue(40)
				return q.tick()
			},
			want: outcome{4, ReasonJobsPerReplica, "", HoldPartial, true, nil},
		},
		"after a possible restart nothing shrinks": {
			policy:   Policy{MaxReplicas: 10},
			replicas: 2,
			play: func(q *pool) Decision {
				q.busy(2)
				q.ticks(settle)
				q.busy(0)
				q.sample.PossibleRestart = true
				q.tick()
				q.sample.PossibleRestart = false
				return q.ticks(5)
			},
			want: outcome{2, ReasonHeld, "", HoldRestart, true, nil},
		},
		"nothing shrinks during a rollout": {
			policy:   Policy{MaxReplicas: 10},
			replicas: 2,
			play:     func(q *pool) Decision { q.sample.Rollout = true; return q.ticks(settle) },
			want:     outcome{2, ReasonHeld, "", HoldRollout, true, nil},
		},
		"no job server answers": {
			policy:   Policy{MaxReplicas: 10},
			replicas: 2,
			play:     func(q *pool) Decision { q.tick(); q.sample.NoAnswer = time.Hour; return q.ticks(settle) },
			want:     outcome{2, ReasonServersNoAnswer, "", HoldPartial, true, nil},
		},
		"fallback before its time": {
			policy:   Policy{MaxReplicas: 10, Fallback: &Fallback{After: time.Minute, Policy: FallbackAtLeast, Replicas: 5}},
			replicas: 2,
			play:     func(q *pool) Decision { q.tick(); q.sample.NoAnswer = 59 * time.Second; return q.tick() },
			want:     outcome{2, ReasonServersNoAnswer, "", HoldPartial, true, nil},
		},
		"fallback at least": {
			policy:   Policy{MaxReplicas: 10, Fallback: &Fallback{After: time.Minute, Policy: FallbackAtLeast, Replicas: 5}},
			replicas: 2,
			play:     func(q *pool) Decision { q.tick(); q.sample.NoAnswer = time.Minute; return q.tick() },
			want:     outcome{5, ReasonFallback, "", HoldPartial, true, nil},
		},
		"fallback at least is not at most": {
			policy:   Policy{MaxReplicas: 10, Fallback: &Fallback{After: time.Minute, Policy: FallbackAtLeast, Replicas: 5}},
			replicas: 7,
			play:     func(q *pool) Decision { q.tick(); q.sample.NoAnswer = time.Minute; return q.tick() },
			want:     outcome{7, ReasonFallback, "", HoldPartial, true, nil},
		},
		"fallback static": {
			policy:   Policy{MaxReplicas: 10, Fallback: &Fallback{After: time.Minute, Policy: FallbackStatic, Replicas: 1}},
			replicas: 2,
			play:     func(q *pool) Decision { q.tick(); q.sample.NoAnswer = time.Minute; return q.tick() },
			want:     outcome{1, ReasonFallback, "", HoldPartial, true, []string{"pod-0"}},
		},
		"fallback hold": {
			policy:   Policy{MaxReplicas: 10, Fallback: &Fallback{After: time.Minute}},
			replicas: 2,
			play:     func(q *pool) Decision { q.tick(); q.sample.NoAnswer = time.Hour; return q.tick() },
			want:     outcome{2, ReasonServersNoAnswer, "", HoldPartial, true, nil},
		},
		"bounds win over silence": {
			policy:   Policy{MinReplicas: 3, MaxReplicas: 10},
			replicas: 2,
			play:     func(q *pool) Decision { q.sample.NoAnswer = time.Hour; return q.tick() },
			want:     outcome{3, ReasonBelowMinimum, LimitMinimum, HoldPartial, true, nil},
		},
		"above the maximum: the busiest go last": {
			policy:   Policy{MaxReplicas: 2},
			replicas: 4,
			play:     func(q *pool) Decision { q.busy(3); return q.tick() },
			want:     outcome{2, ReasonAboveMaximum, LimitMaximum, "", true, []string{"pod-3", "pod-0"}},
		},
		"manual": {
			policy:   Policy{MaxReplicas: 10, Mode: ModeManual, ManualReplicas: 7},
			replicas: 2,
			play:     func(q *pool) Decision { return q.tick() },
			want:     outcome{7, ReasonManual, "", "", true, nil},
		},
		"manual within the bounds": {
			policy:   Policy{MaxReplicas: 5, Mode: ModeManual, ManualReplicas: 7},
			replicas: 2,
			play:     func(q *pool) Decision { return q.tick() },
			want:     outcome{5, ReasonManual, LimitMaximum, "", true, nil},
		},
		"paused": {
			policy:   Policy{MinReplicas: 5, MaxReplicas: 10, Mode: ModePaused},
			replicas: 2,
			play:     func(q *pool) Decision { q.queue(1000); return q.ticks(settle) },
			want:     outcome{2, ReasonPaused, "", "", false, nil},
		},
		"dry run decides but doesn't act": {
			policy: Policy{MaxReplicas: 10, Mode: ModeDryRun},
			play:   func(q *pool) Decision { q.tick(); q.queue(1); return q.tick() },
			want:   outcome{1, ReasonFromZero, "", HoldStart, false, nil},
		},
		"no telemetry, IdleOnly: a running job keeps all": {
			policy:   Policy{MaxReplicas: 10},
			replicas: 4,
			play: func(q *pool) Decision {
				q.dark()
				q.sample.Functions[0].Total, q.sample.Functions[0].Running = 1, 1
				return q.ticks(settle)
			},
			want: outcome{4, ReasonSteady, "", "", true, nil},
		},
		"no telemetry, IdleOnly: nothing runs": {
			policy:   Policy{MinReplicas: 1, MaxReplicas: 10},
			replicas: 3,
			play:     func(q *pool) Decision { q.dark(); return q.ticks(settle) },
			want:     outcome{1, ReasonEmpty, LimitMinimum, "", true, []string{"pod-0", "pod-1"}},
		},
		"no telemetry, Graceful: by the numbers": {
			policy:   Policy{MaxReplicas: 10, ScaleDown: ScaleDownGraceful},
			replicas: 4,
			play: func(q *pool) Decision {
				q.dark()
				q.sample.Functions[0].Total, q.sample.Functions[0].Running = 1, 1
				return q.ticks(settle)
			},
			want: outcome{1, ReasonIdle, "", "", true, []string{"pod-0", "pod-1", "pod-2"}},
		},
		"a backlog that no free worker is given does not grow the pool": {
			policy:   Policy{MaxReplicas: 10, JobsPerReplica: 1},
			replicas: 10,
			play:     func(q *pool) Decision { q.tick(); q.queue(50); return q.ticks(4) },
			want:     outcome{10, ReasonNotRunnable, "", HoldStart, true, nil},
		},
		"a probed backlog that isn't runnable does not wake the pool": {
			policy: Policy{MaxReplicas: 10},
			play: func(q *pool) Decision {
				q.queue(50)
				q.sample.Functions[0].NotRunnable = true
				return q.ticks(settle)
			},
			want: outcome{0, ReasonNotRunnable, "", "", true, nil},
		},
		"an unproved backlog keeps one replica": {
			policy:   Policy{MaxReplicas: 10},
			replicas: 3,
			play:     func(q *pool) Decision { q.queue(50); return q.ticks(settle) },
			want:     outcome{1, ReasonIdle, "", "", true, []string{"pod-0", "pod-1"}},
		},
		"pods of which only the numbers are known": {
			policy:   Policy{MaxReplicas: 10},
			replicas: 2,
			play: func(q *pool) Decision {
				q.sample.Pods = []PodSample{{Ready: true}, {Ready: true}}
				q.sample.Functions[0].Total, q.sample.Functions[0].Running = 2, 2
				return q.ticks(settle)
			},
			want: outcome{2, ReasonSteady, "", "", true, nil},
		},
		"pods that can't start neither help nor block": {
			policy:   Policy{MaxReplicas: 10},
			replicas: 4,
			play: func(q *pool) Decision {
				q.busy(2)
				for i := 2; i < 4; i++ {
					q.sample.Pods[i] = PodSample{Name: q.sample.Pods[i].Name, Created: start, Broken: true}
				}
				return q.ticks(settle)
			},
			want: outcome{2, ReasonIdle, "", "", true, []string{"pod-2", "pod-3"}},
		},
		"replicas for which no pod can be made don't block for ever": {
			policy:   Policy{MaxReplicas: 10},
			replicas: 4,
			play: func(q *pool) Decision {
				q.pods(2)
				q.busy(2)
				return q.ticks(settle)
			},
			want: outcome{2, ReasonIdle, "", "", true, nil},
		},
		"terminating pods don't count": {
			policy:   Policy{MaxReplicas: 10, JobsPerReplica: 1},
			replicas: 1,
			play: func(q *pool) Decision {
				q.pods(2)
				q.sample.Pods[1].Terminating = true
				q.busy(1)
				return q.tick()
			},
			want: outcome{1, ReasonSteady, "", HoldStart, true, nil},
		},
		"a pod with several slots drains only within its time": {
			policy:   Policy{MaxReplicas: 10, Concurrency: 4, JobTimeHint: 10 * time.Second, Drain: 5 * time.Second},
			replicas: 2,
			play:     func(q *pool) Decision { q.wide(); return q.ticks(settle) },
			want:     outcome{2, ReasonSteady, "", "", true, nil},
		},
		"the least busy of pods with several slots drains": {
			policy:   Policy{MaxReplicas: 10, Concurrency: 4, JobTimeHint: 10 * time.Second, Drain: time.Hour},
			replicas: 2,
			play:     func(q *pool) Decision { q.wide(); return q.ticks(settle) },
			want:     outcome{1, ReasonIdle, "", "", true, []string{"pod-1"}},
		},
		"a silent server's queue is taken to grow as the others'": {
			policy:   Policy{MaxReplicas: 50, JobsPerReplica: 10},
			replicas: 1,
			play: func(q *pool) Decision {
				q.tick()
				q.busy(1)
				q.sample.Partial, q.sample.Answering, q.sample.Silent = true, 1, 1
				q.queue(50)
				return q.tick()
			},
			want: outcome{10, ReasonJobsPerReplica, "", HoldPartial, true, nil},
		},
		"behavior limits the law": {
			policy:   Policy{MaxReplicas: 50, JobsPerReplica: 1, Behavior: &Behavior{ScaleUp: &ScalingRules{Policies: []ScalingPolicy{{PolicyPods, 2, time.Minute}}}}},
			replicas: 1,
			play:     func(q *pool) Decision { q.tick(); q.busy(1); q.queue(20); return q.tick() },
			want:     outcome{3, ReasonJobsPerReplica, LimitScaleUp, HoldStart, true, nil},
		},
		"the queue's deadline comes near": {
			policy:   Policy{MaxReplicas: 100},
			replicas: 1,
			play: func(q *pool) Decision {
				q.sample.Functions[0].Ended, q.sample.Functions[0].EndedSeconds = 0, 0
				q.busy(1)
				q.tick()
				q.sample.Functions[0].Ended, q.sample.Functions[0].EndedSeconds = 1000, 3000 // a job takes 3 s
				q.tick()
				q.queue(40)
				return q.ticks(2)
			},
			want: outcome{12, ReasonTargetWait, "", HoldStart, true, nil},
		},
		"spare slots are kept where pods start too slowly": {
			policy:   Policy{MinReplicas: 1, MaxReplicas: 100, TargetWait: 5 * time.Second, JobTimeHint: 10 * time.Second},
			replicas: 4,
			play:     func(q *pool) Decision { q.busy(4); return q.ticks(settle) },
			want:     outcome{10, ReasonStaffing, "", "", true, nil},
		},
		"pods that are starting are not ordered twice": {
			policy: Policy{MaxReplicas: 100, TargetWait: time.Minute, JobTimeHint: 10 * time.Second},
			play: func(q *pool) Decision {
				q.tick()
				q.queue(20)
				q.sample.Replicas = q.tick().Replicas
				return q.tick()
			},
			want: outcome{4, ReasonSteady, "", HoldStart, true, nil}, // scouts
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := newPool(tc.policy, tc.replicas)
			got := tc.play(q)
			if diff := cmp.Diff(tc.want, got.outcome()); diff != "" {
				t.Errorf("decision (-want +got):\n%s\nterms: %+v", diff, got.Terms)
			}
			if got.Message == "" {
				t.Errorf("no message for reason %q", got.Reason)
			}
		})
	}
}

// wide makes two pods of four slots, with two jobs and one.
func (q *pool) wide() {
	for i := range q.sample.Pods {
		q.sample.Pods[i].Capacity, q.sample.Pods[i].Busy = 4, int32(2-i)
	}
	f := &q.sample.Functions[0]
	f.Total, f.Running, f.Busy = 3, 3, 3
}

func TestJobsThatNeverEndWellAreReported(t *testing.T) {
	t.Parallel()
	q := newPool(Policy{MaxReplicas: 10}, 1)
	q.busy(1)
	q.queue(5)
	for range 30 {
		q.sample.Functions[0].Requeued++
		q.tick()
	}
	if !q.last.NotProgressing {
		t.Error("a poison job isn't reported")
	}
	q.sample.Functions[0].Ended++
	if q.tick().NotProgressing {
		t.Error("a job ended well, and still it is reported")
	}
}

// TestPatience has jobs that a poll doesn't see: each time the pool has gone to zero, the next one comes at once.
func TestPatience(t *testing.T) {
	t.Parallel()
	q := newPool(Policy{MaxReplicas: 10}, 1)
	q.dark()
	lasts := func() (n int) {
		for n = 1; q.tick().Replicas > 0; n++ {
			if n > 1000 {
				t.Fatal("the pool doesn't go to zero")
			}
		}
		return n
	}
	first := lasts()
	q.sample.Replicas, q.sample.Pods = 0, nil
	q.queue(1)
	if d := q.tick(); d.Replicas == 0 {
		t.Fatal("the pool isn't woken")
	}
	q.sample.Replicas = 1
	q.pods(1)
	q.dark()
	q.queue(0)
	if second := lasts(); second < 3*first/2 {
		t.Errorf("after a wrong leave the pool stayed for %d ticks, before for %d", second, first)
	}
}

func TestForeignWorkersServeButAreNotKept(t *testing.T) {
	t.Parallel()
	ours, alone := newPool(Policy{MaxReplicas: 100}, 1), newPool(Policy{MaxReplicas: 100}, 1)
	for i, q := range []*pool{ours, alone} {
		f := &q.sample.Functions[0]
		q.busy(1)
		if i == 0 {
			f.Running, f.Total = 11, 11 // ten of them are others'
		}
		q.tick()
		f.Ended, f.EndedSeconds = 1000, 3000
		q.tick()
		q.queue(40)
		q.ticks(2)
	}
	if ours.last.Terms.Foreign != 10 || ours.last.Replicas != 1 || alone.last.Replicas <= 1 {
		t.Errorf("with ten foreign slots %d replicas (foreign %v), alone %d; want 1 (10), and more alone", ours.last.Replicas, ours.last.Terms.Foreign, alone.last.Replicas)
	}
}

func TestAFunctionWhoseTurnDoesNotCome(t *testing.T) {
	t.Parallel()
	q := newPool(Policy{MaxReplicas: 100, TargetWait: time.Minute}, 2)
	q.sample.Functions = []FunctionSample{{Name: "long"}, {Name: "short"}}
	long, short := &q.sample.Functions[0], &q.sample.Functions[1]
	q.busy(2)
	q.tick()
	long.Ended, long.EndedSeconds, short.Ended, short.EndedSeconds = 50, 6000, 1000, 20
	q.tick()
	short.Total = 30 // 0.6 s of work, but both slots are busy for minutes and two long jobs wait
	long.Total += 2
	grew := false
	for range 10 {
		grew = grew || q.tick().Replicas > 2
	}
	if !grew {
		t.Errorf("the pool doesn't grow for a function that is never served: %+v", q.last.Terms)
	}
}

// dark takes the telemetry away.
func (q *pool) dark() {
	for i := range q.sample.Pods {
		q.sample.Pods[i].Telemetry, q.sample.Pods[i].Capacity = false, 0
	}
}
