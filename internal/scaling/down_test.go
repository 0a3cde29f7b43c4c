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

// TestIdleUnknown: without telemetry nothing shows which of the pods is idle while one runs a job.
// A decision says so after half a minute, and no longer once that changes.
func TestIdleUnknown(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		policy Policy
		play   func(q *pool)
		want   bool
	}{
		"one of two runs a job":    {play: func(q *pool) { q.ticks(settle) }, want: true},
		"not for long":             {play: func(q *pool) { q.ticks(settle); q.state.IdleUnknown = false; q.ticks(3) }},
		"a short break":            {play: func(q *pool) { q.ticks(settle); q.runs(0); q.ticks(2) }, want: true},
		"a long break":             {play: func(q *pool) { q.ticks(settle); q.runs(0); q.ticks(settle) }},
		"all run jobs":             {play: func(q *pool) { q.runs(2); q.ticks(settle) }},
		"a server does not answer": {play: func(q *pool) { q.sample.Partial = true; q.ticks(settle) }},
		"at the minimum":           {policy: Policy{MinReplicas: 2}, play: func(q *pool) { q.ticks(settle) }},
		"pods end their jobs": {
			policy: Policy{ScaleDown: ScaleDownGraceful}, play: func(q *pool) { q.ticks(settle) },
		},
		"telemetry comes": {play: func(q *pool) { q.ticks(settle); q.pods(2); q.busy(1); q.tick() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.policy.MaxReplicas, tt.policy.TargetWait = 10, 30*time.Second
			q := newPool(tt.policy, 2)
			q.withoutTelemetry()
			q.runs(1)
			tt.play(q)
			if q.last.IdleUnknown != tt.want {
				t.Errorf("got %t, want %t: %+v", q.last.IdleUnknown, tt.want, q.last)
			}
		})
	}
}

// runs sets n running jobs, none of them in telemetry, and no others.
func (q *pool) runs(n int64) {
	f := &q.sample.Functions[0]
	f.Total, f.Running = n, n
}
