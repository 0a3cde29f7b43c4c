package scaling

import (
	"testing"
	"time"
)

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

// TestIdleFactor has jobs that a poll doesn't see: each time the pool has been scaled to zero, the
// next one arrives at once.
func TestIdleFactor(t *testing.T) {
	t.Parallel()
	q := newPool(Policy{MaxReplicas: 10}, 1)
	q.withoutTelemetry()
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
	q.withoutTelemetry()
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
			f.Running, f.Total = 11, 11 // ten of them run elsewhere
		}
		q.tick()
		f.Ended, f.EndedSeconds = 1000, 3000
		q.tick()
		q.queue(40)
		q.ticks(2)
	}
	if ours.last.Terms.Foreign != 10 || ours.last.Replicas != 1 || alone.last.Replicas <= 1 {
		t.Errorf(
			"with ten foreign slots %d replicas (foreign %v), alone %d; want 1 (10), and more alone",
			ours.last.Replicas, ours.last.Terms.Foreign, alone.last.Replicas,
		)
	}
}

// TestStarvedFunction has two slots busy for minutes with long jobs; more of these are queued, and
// are assigned before the short jobs that are queued too.
func TestStarvedFunction(t *testing.T) {
	t.Parallel()
	mostAllowed := func(longs int64) (n int32) {
		q := newPool(Policy{MaxReplicas: 100, TargetWait: time.Minute}, 2)
		q.sample.Functions = []FunctionSample{{Name: "long"}, {Name: "short"}}
		long, short := &q.sample.Functions[0], &q.sample.Functions[1]
		q.busy(2)
		q.tick()
		long.Ended, long.EndedSeconds, short.Ended, short.EndedSeconds = 50, 6000, 1000, 20
		q.tick()
		short.Total = 30 // 0.6 s of work
		long.Total += longs
		for range 10 {
			n = max(n, q.tick().Replicas)
		}
		return n
	}
	trials, many := mostAllowed(1), mostAllowed(6)
	if trials <= 2 || many < trials+4 {
		t.Errorf(
			"with one long job before the short ones %d replicas, with six %d; want more than 2, and four more still: they take the first pods that come",
			trials, many,
		)
	}

	// The same queue with unknown job times needs one slot to measure them.
	s := State{Functions: []Function{
		{Name: "long", Serving: 1, Mean: 30, Rest: 30, Skew: 1},
		{Name: "short", Mean: 30, Rest: 30, Skew: 1, Load: 300, Cohorts: []Cohort{{0, 500}}},
	}}
	if n := s.starved(90, 5, 0, 1, 60, 180); n != 1 {
		t.Errorf("of jobs about which nothing is known %v slots are missing, want 1", n)
	}
	s.Functions[1].Jobs = fewJobs
	if n := s.starved(90, 5, 0, 1, 60, 180); n < 100 {
		t.Errorf("of the same once they are known %v slots are missing; want hundreds", n)
	}
}

// TestPodsComingUpAreNoSignOfAStuckQueue: at each tick some pods have just become ready and have no
// job yet, while hundreds of jobs are queued. These are runnable all the same.
func TestPodsComingUpAreNoSignOfAStuckQueue(t *testing.T) {
	t.Parallel()
	q := newPool(Policy{MaxReplicas: 100, Tick: 5 * time.Second}, 40)
	q.queue(459)
	for up := 6; up <= 36; up += 6 {
		// Of the ready pods the last six registered a moment ago.
		q.pods(int32(up))
		for i := up - 6; i < up; i++ {
			q.sample.Pods[i].Registered = q.now
		}
		q.busy(up - 6)
		if d := q.tick(); d.NotRunnable || d.Terms.Stuck > 0 {
			t.Fatalf("with %d pods up: not runnable %v, stuck %g", up, d.NotRunnable, d.Terms.Stuck)
		}
	}
	// The same pods, idle for long with the same queue, are different.
	q.pods(36)
	q.busy(0)
	if d := q.ticks(20); !d.NotRunnable {
		t.Error("free slots were left without jobs for 100 s, and the queue still counts as runnable")
	}
	// A job server that has a job for a polling worker is better evidence.
	q.sample.Functions[0].Runnable = true
	if d := q.tick(); d.NotRunnable || d.Terms.Stuck > 0 {
		t.Errorf("with a positive verdict: not runnable %v, stuck %g", d.NotRunnable, d.Terms.Stuck)
	}
}

// TestSteadyMessage: the message of a pool that keeps its replicas.
func TestSteadyMessage(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		policy Policy
		play   func(q *pool) Decision
		want   string
	}{
		"it works": {
			play: func(q *pool) Decision { q.busy(2); return q.ticks(settle) },
			want: steadyMessage,
		},
		"empty, but not for long": {
			policy: Policy{Idle: time.Hour, MinReplicas: 1},
			play:   func(q *pool) Decision { q.busy(2); q.ticks(settle); q.busy(0); return q.ticks(1) },
			want:   notIdleLongMessage,
		},
		"at the minimum": {
			policy: Policy{MinReplicas: 2},
			play:   func(q *pool) Decision { return q.ticks(settle) },
			want:   messages[ReasonEmpty],
		},
		"jobs run, and no telemetry tells where": {
			play: func(q *pool) Decision {
				q.withoutTelemetry()
				q.sample.Functions[0].Total, q.sample.Functions[0].Running = 1, 1
				return q.ticks(settle)
			},
			want: noTelemetryMessage,
		},
		"the same where pods are trusted to end their jobs": {
			policy: Policy{ScaleDown: ScaleDownGraceful},
			play: func(q *pool) Decision {
				q.withoutTelemetry()
				q.sample.Functions[0].Total, q.sample.Functions[0].Running = 2, 2
				return q.ticks(settle)
			},
			want: steadyMessage,
		},
		"the operator has just started": {
			play: func(q *pool) Decision { q.busy(2); q.tick(); q.busy(0); return q.ticks(3) },
			want: messages[ReasonJustStarted],
		},
		"a job server is silent": {
			play: func(q *pool) Decision { q.ticks(1); q.sample.Partial = true; return q.ticks(settle) },
			want: messages[ReasonPartialSample],
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.policy.MaxReplicas = 10
			q := newPool(tc.policy, 2)
			if got := tc.play(q); got.Replicas != 2 || got.Message != tc.want {
				t.Errorf("%d replicas, %s: %q; want 2 and %q", got.Replicas, got.Reason, got.Message, tc.want)
			}
		})
	}
}

// TestUnknownJobsDoNotHoldBackKnownOnes: trial pods are for jobs of unknown time. More of these
// never mean fewer pods for the known ones.
func TestUnknownJobsDoNotHoldBackKnownOnes(t *testing.T) {
	t.Parallel()
	wanted := func(unknown int64) int32 {
		q := newPool(Policy{MaxReplicas: 100, TargetWait: 2 * time.Minute}, 1)
		q.sample.Functions = []FunctionSample{{Name: "known"}, {Name: "unknown"}}
		q.busy(1)
		q.tick()
		q.sample.Functions[0].Ended, q.sample.Functions[0].EndedSeconds = 100, 2000
		q.tick()
		q.queue(150) // of 20 s each
		q.sample.Functions[1].Total = unknown
		return q.tick().Replicas
	}
	if none, many := wanted(0), wanted(50); none < 15 || many < none {
		t.Errorf(
			"%d replicas without jobs of which nothing is known, %d with 50; want 15 at least, and no fewer with them",
			none, many,
		)
	}
}

func TestOneSampleDecidedOnAgainIsNoStuckQueue(t *testing.T) {
	t.Parallel()
	q := newPool(Policy{MaxReplicas: 10}, 4)
	q.busy(2)
	q.ticks(3)
	q.queue(1) // it has just arrived
	q.tick()
	for range 20 { // pods become ready, say
		q.now = q.now.Add(10 * time.Millisecond)
		if q.last, q.state = Decide(q.policy, q.state, q.sample, q.now); q.last.NotRunnable {
			t.Fatal("a queue of a moment is told not to be runnable")
		}
	}
	q.ticks(20)
	if !q.last.NotRunnable {
		t.Error("a queue that free slots aren't given for long is not told")
	}
}
