package scaling

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestStateOfAFunction: the parts of the state that other packages read.
func TestStateOfAFunction(t *testing.T) {
	t.Parallel()
	s := NewState(Learnt{}, time.Unix(1_700_000_000, 0))
	s.Functions = []Function{{Name: "f", Stuck: 3, Mean: 1.5}}
	if stuck, seconds := s.Waiting("f"); stuck != 3 || seconds != 1.5 {
		t.Errorf("waiting of f: %d stuck, %v s", stuck, seconds)
	}
	if stuck, seconds := s.Waiting("g"); stuck != 0 || seconds != 0 {
		t.Errorf("waiting of an unknown function: %d stuck, %v s", stuck, seconds)
	}
	if age := s.Age(time.Unix(1_700_000_000, 0).Add(time.Minute)); age != time.Minute {
		t.Errorf("age %v", age)
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		policy   Policy
		replicas int32
		play     func(q *pool) Decision
		want     outcome
	}{
		"empty and at zero: stays": {
			policy: Policy{MaxReplicas: 10},
			play:   func(q *pool) Decision { return q.ticks(settle) },
			want:   outcome{0, ReasonSteady, "", "", true, false},
		},
		"from zero at once": {
			policy: Policy{MaxReplicas: 10},
			play:   func(q *pool) Decision { q.tick(); q.queue(1); return q.tick() },
			want:   outcome{1, ReasonFromZero, "", HoldStart, true, false},
		},
		"a minimum is filled at once": {
			policy: Policy{MinReplicas: 2, MaxReplicas: 10},
			play:   func(q *pool) Decision { return q.tick() },
			want:   outcome{2, ReasonBelowMinimum, LimitMinimum, HoldStart, true, false},
		},
		"the maximum bounds a flood": {
			policy:   Policy{MaxReplicas: 10, JobsPerReplica: 1},
			replicas: 1,
			play:     func(q *pool) Decision { q.tick(); q.busy(1); q.queue(100000); return q.tick() },
			want:     outcome{10, ReasonJobsPerReplica, LimitMaximum, HoldStart, true, false},
		},
		"jobsPerReplica": {
			policy:   Policy{MaxReplicas: 100, JobsPerReplica: 10},
			replicas: 1,
			play:     func(q *pool) Decision { q.tick(); q.busy(1); q.queue(95); return q.tick() },
			want:     outcome{10, ReasonJobsPerReplica, "", HoldStart, true, false},
		},
		"to zero when empty": {
			policy:   Policy{MaxReplicas: 10},
			replicas: 2,
			play:     func(q *pool) Decision { return q.ticks(settle) },
			want:     outcome{0, ReasonEmpty, "", "", true, false},
		},
		"to the minimum when empty": {
			policy:   Policy{MinReplicas: 1, MaxReplicas: 10},
			replicas: 2,
			play:     func(q *pool) Decision { return q.ticks(settle) },
			want:     outcome{1, ReasonEmpty, LimitMinimum, "", true, false},
		},
		"idle pods go, busy ones stay": {
			policy:   Policy{MaxReplicas: 10},
			replicas: 4,
			play:     func(q *pool) Decision { q.busy(2); return q.ticks(settle) },
			want:     outcome{2, ReasonIdle, "", "", true, false},
		},
		"nothing shrinks just after the start": {
			policy:   Policy{MaxReplicas: 10},
			replicas: 4,
			play:     func(q *pool) Decision { return q.ticks(4) },
			want:     outcome{4, ReasonJustStarted, "", HoldStart, true, false},
		},
		"nothing shrinks on partial samples": {
			policy:   Policy{MaxReplicas: 10},
			replicas: 4,
			play:     func(q *pool) Decision { q.sample.Partial = true; return q.ticks(100) },
			want:     outcome{4, ReasonPartialSample, "", HoldPartial, true, false},
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
			want: outcome{4, ReasonJobsPerReplica, "", HoldPartial, true, false},
		},
		"after a possible restart nothing shrinks": {
			policy:   Policy{MaxReplicas: 10, Idle: 20 * time.Second},
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
			want: outcome{2, ReasonRestart, "", HoldRestart, true, false},
		},
		"nor after one while no job server had answered yet": {
			policy:   Policy{MaxReplicas: 10},
			replicas: 4,
			play: func(q *pool) Decision {
				q.busy(1)
				q.ticks(settle)
				q.sample.NoAnswer, q.sample.PossibleRestart = time.Minute, true
				q.tick()
				q.sample.NoAnswer, q.sample.PossibleRestart = 0, false
				return q.ticks(5)
			},
			want: outcome{4, ReasonRestart, "", HoldRestart, true, false},
		},
		"nothing shrinks during a rollout": {
			policy:   Policy{MaxReplicas: 10},
			replicas: 2,
			play:     func(q *pool) Decision { q.sample.Rollout = true; return q.ticks(settle) },
			want:     outcome{2, ReasonRollout, "", HoldRollout, true, false},
		},
		"no job server answers": {
			policy:   Policy{MaxReplicas: 10},
			replicas: 2,
			play:     func(q *pool) Decision { q.tick(); q.sample.NoAnswer = time.Hour; return q.ticks(settle) },
			want:     outcome{2, ReasonServersNoAnswer, "", HoldPartial, true, false},
		},
		"fallback before its time": {
			policy: Policy{
				MaxReplicas: 10, Fallback: &Fallback{After: time.Minute, Policy: FallbackAtLeast, Replicas: 5},
			},
			replicas: 2,
			play:     func(q *pool) Decision { q.tick(); q.sample.NoAnswer = 59 * time.Second; return q.tick() },
			want:     outcome{2, ReasonServersNoAnswer, "", HoldPartial, true, false},
		},
		"fallback at least": {
			policy: Policy{
				MaxReplicas: 10, Fallback: &Fallback{After: time.Minute, Policy: FallbackAtLeast, Replicas: 5},
			},
			replicas: 2,
			play:     func(q *pool) Decision { q.tick(); q.sample.NoAnswer = time.Minute; return q.tick() },
			want:     outcome{5, ReasonFallback, "", HoldPartial, true, false},
		},
		"fallback at least is not at most": {
			policy: Policy{
				MaxReplicas: 10, Fallback: &Fallback{After: time.Minute, Policy: FallbackAtLeast, Replicas: 5},
			},
			replicas: 7,
			play:     func(q *pool) Decision { q.tick(); q.sample.NoAnswer = time.Minute; return q.tick() },
			want:     outcome{7, ReasonFallback, "", HoldPartial, true, false},
		},
		"fallback static": {
			policy: Policy{
				MaxReplicas: 10, Fallback: &Fallback{After: time.Minute, Policy: FallbackStatic, Replicas: 1},
			},
			replicas: 2,
			play:     func(q *pool) Decision { q.tick(); q.sample.NoAnswer = time.Minute; return q.tick() },
			want:     outcome{1, ReasonFallback, "", HoldPartial, true, false},
		},
		"fallback hold": {
			policy:   Policy{MaxReplicas: 10, Fallback: &Fallback{After: time.Minute}},
			replicas: 2,
			play:     func(q *pool) Decision { q.tick(); q.sample.NoAnswer = time.Hour; return q.tick() },
			want:     outcome{2, ReasonServersNoAnswer, "", HoldPartial, true, false},
		},
		"bounds win over silence": {
			policy:   Policy{MinReplicas: 3, MaxReplicas: 10},
			replicas: 2,
			play:     func(q *pool) Decision { q.sample.NoAnswer = time.Hour; return q.tick() },
			want:     outcome{3, ReasonBelowMinimum, LimitMinimum, HoldPartial, true, false},
		},
		"above the maximum: the busiest go last": {
			policy:   Policy{MaxReplicas: 2},
			replicas: 4,
			play:     func(q *pool) Decision { q.busy(3); return q.tick() },
			want:     outcome{2, ReasonAboveMaximum, LimitMaximum, "", true, false},
		},
		"manual": {
			policy:   Policy{MaxReplicas: 10, Mode: ModeManual, ManualReplicas: 7},
			replicas: 2,
			play:     func(q *pool) Decision { return q.tick() },
			want:     outcome{7, ReasonManual, "", "", true, false},
		},
		"manual within the bounds": {
			policy:   Policy{MaxReplicas: 5, Mode: ModeManual, ManualReplicas: 7},
			replicas: 2,
			play:     func(q *pool) Decision { return q.tick() },
			want:     outcome{5, ReasonManual, LimitMaximum, "", true, false},
		},
		"paused": {
			policy:   Policy{MinReplicas: 5, MaxReplicas: 10, Mode: ModePaused},
			replicas: 2,
			play:     func(q *pool) Decision { q.queue(1000); return q.ticks(settle) },
			want:     outcome{2, ReasonPaused, "", "", false, false},
		},
		"dry run decides but doesn't act": {
			policy: Policy{MaxReplicas: 10, Mode: ModeDryRun},
			play:   func(q *pool) Decision { q.tick(); q.queue(1); return q.tick() },
			want:   outcome{1, ReasonFromZero, "", HoldStart, false, false},
		},
		"no telemetry, IdleOnly: a running job keeps all": {
			policy:   Policy{MaxReplicas: 10},
			replicas: 4,
			play: func(q *pool) Decision {
				q.withoutTelemetry()
				q.sample.Functions[0].Total, q.sample.Functions[0].Running = 1, 1
				return q.ticks(settle)
			},
			want: outcome{4, ReasonSteady, "", "", true, false},
		},
		"no telemetry, IdleOnly: nothing runs": {
			policy:   Policy{MinReplicas: 1, MaxReplicas: 10},
			replicas: 3,
			play:     func(q *pool) Decision { q.withoutTelemetry(); return q.ticks(settle) },
			want:     outcome{1, ReasonEmpty, LimitMinimum, "", true, false},
		},
		"no telemetry, Graceful: by the numbers": {
			policy:   Policy{MaxReplicas: 10, ScaleDown: ScaleDownGraceful},
			replicas: 4,
			play: func(q *pool) Decision {
				q.withoutTelemetry()
				q.sample.Functions[0].Total, q.sample.Functions[0].Running = 1, 1
				return q.ticks(settle)
			},
			want: outcome{1, ReasonIdle, "", "", true, false},
		},
		"a backlog that no free worker is given does not grow the pool": {
			policy:   Policy{MaxReplicas: 10, JobsPerReplica: 1},
			replicas: 10,
			play:     func(q *pool) Decision { q.tick(); q.queue(50); return q.ticks(4) },
			want:     outcome{10, ReasonNotRunnable, "", HoldStart, true, false},
		},
		"a probed backlog that isn't runnable does not wake the pool": {
			policy: Policy{MaxReplicas: 10},
			play: func(q *pool) Decision {
				q.queue(50)
				q.sample.Functions[0].NotRunnable = true
				return q.ticks(settle)
			},
			want: outcome{0, ReasonNotRunnable, "", "", true, false},
		},
		"an unproved backlog keeps one replica": {
			policy:   Policy{MaxReplicas: 10},
			replicas: 3,
			play:     func(q *pool) Decision { q.queue(50); return q.ticks(settle) },
			want:     outcome{1, ReasonIdle, "", "", true, false},
		},
		"pods of which only the numbers are known": {
			policy:   Policy{MaxReplicas: 10},
			replicas: 2,
			play: func(q *pool) Decision {
				q.sample.Pods = []PodSample{{Ready: true}, {Ready: true}}
				q.sample.Functions[0].Total, q.sample.Functions[0].Running = 2, 2
				return q.ticks(settle)
			},
			want: outcome{2, ReasonSteady, "", "", true, false},
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
			want: outcome{2, ReasonIdle, "", "", true, false},
		},
		"replicas for which no pod can be made don't block for ever": {
			policy:   Policy{MaxReplicas: 10},
			replicas: 4,
			play: func(q *pool) Decision {
				q.pods(2)
				q.busy(2)
				return q.ticks(settle)
			},
			want: outcome{2, ReasonIdle, "", "", true, false},
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
			want: outcome{1, ReasonSteady, "", HoldStart, true, false},
		},
		"a pod with several slots drains only within its time": {
			policy:   Policy{MaxReplicas: 10, Concurrency: 4, JobTimeHint: 10 * time.Second, Drain: 5 * time.Second},
			replicas: 2,
			play:     func(q *pool) Decision { q.wide(); return q.ticks(settle) },
			want:     outcome{1, ReasonIdle, "", "", true, false},
		},
		"the least busy of pods with several slots drains": {
			policy:   Policy{MaxReplicas: 10, Concurrency: 4, JobTimeHint: 10 * time.Second, Drain: time.Hour},
			replicas: 2,
			play:     func(q *pool) Decision { q.wide(); return q.ticks(settle) },
			want:     outcome{1, ReasonIdle, "", "", true, true},
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
			want: outcome{10, ReasonJobsPerReplica, "", HoldPartial, true, false},
		},
		"behavior limits the law": {
			policy: Policy{
				MaxReplicas: 50, JobsPerReplica: 1,
				Behavior: &Behavior{ScaleUp: &ScalingRules{Policies: []ScalingPolicy{{PolicyPods, 2, time.Minute}}}},
			},
			replicas: 1,
			play:     func(q *pool) Decision { q.tick(); q.busy(1); q.queue(20); return q.tick() },
			want:     outcome{3, ReasonJobsPerReplica, LimitScaleUp, HoldStart, true, false},
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
			want: outcome{12, ReasonTargetWait, "", HoldStart, true, false},
		},
		"spare slots are kept where pods start too slowly": {
			policy: Policy{
				MinReplicas: 1, MaxReplicas: 100, TargetWait: 5 * time.Second, JobTimeHint: 10 * time.Second,
			},
			replicas: 4,
			play:     func(q *pool) Decision { q.busy(4); return q.ticks(settle) },
			want:     outcome{10, ReasonStaffing, "", "", true, false},
		},
		"pods that are starting are not ordered twice": {
			policy: Policy{MaxReplicas: 100, TargetWait: time.Minute, JobTimeHint: 10 * time.Second},
			play: func(q *pool) Decision {
				q.tick()
				q.queue(20)
				q.sample.Replicas = q.tick().Replicas
				return q.tick()
			},
			want: outcome{4, ReasonSteady, "", HoldStart, true, false}, // the trial pods
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

// Pods that take no jobs have no slots, ready or not.
func TestPodsThatTakeNoJobsHaveNoSlots(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	slots := func(unfit int) int {
		in := Sample{Replicas: 3, Answering: 1, Functions: []FunctionSample{{Name: "f", Total: 40, LongestQueue: 40}}}
		for i := range 3 {
			in.Pods = append(in.Pods, PodSample{
				Name: fmt.Sprint(i), Created: start.Add(-time.Hour), Registered: start.Add(-time.Hour), Ready: true,
				WasReady: true, Telemetry: true, Capacity: 4,
				TakesNoJobs: i < unfit,
			})
		}
		d, _ := Decide(Policy{MaxReplicas: 100}, NewState(Learnt{}, start), in, start)
		return int(d.Terms.Slots)
	}
	for unfit, want := range []int{12, 8, 4, 0} {
		if got := slots(unfit); got != want {
			t.Errorf("%d pods that take no jobs: %d slots, want %d", unfit, got, want)
		}
	}
}
