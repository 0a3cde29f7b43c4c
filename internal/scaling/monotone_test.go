package scaling

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestMoreJobsNeverMeanFewerReplicas runs pools of various kinds: with some functions, known for
// long or not at all, of short and of long jobs; then it adds jobs to one of them.
func TestMoreJobsNeverMeanFewerReplicas(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(11, 12))
	raised := 0
	for round := range 1500 {
		q := newPool(
			Policy{
				MaxReplicas: 1000, TargetWait: time.Duration(10+rng.IntN(170)) * time.Second,
				Concurrency: int32(1 + 3*rng.IntN(2)),
			},
			int32(rng.IntN(30)),
		)
		q.sample.Functions = make([]FunctionSample, 1+rng.IntN(4))
		times := make([]float64, len(q.sample.Functions))
		for i := range times {
			q.sample.Functions[i].Name = fmt.Sprint("f", i)
			times[i] = []float64{0.05, 1, 10, 120}[rng.IntN(4)]
		}
		for range 2 + rng.IntN(30) {
			free := int(q.sample.Replicas)
			for i := range q.sample.Functions {
				f := &q.sample.Functions[i]
				f.Busy = int64(rng.IntN(free + 1))
				free -= int(f.Busy)
				f.Running = f.Busy
				if rng.IntN(3) > 0 {
					n := int64(rng.IntN(1 + int(5*float64(f.Busy)/times[i])))
					f.Ended, f.EndedSeconds = f.Ended+n, f.EndedSeconds+float64(n)*times[i]
				}
				if i > 0 { // tick does it for the first
					f.BusySeconds += 5 * float64(f.Busy)
				}
				f.Total = f.Running + int64(rng.IntN(1+rng.IntN(100)))
			}
			q.tick()
		}
		before, now := q.state.Clone(), q.now
		base := q.tick().Replicas
		for i := range q.sample.Functions {
			for _, n := range []int64{1, 10, 100, 1000} {
				more := q.sample
				more.Functions = slices.Clone(q.sample.Functions)
				more.Functions[i].Total += n
				d, _ := Decide(q.policy, before.Clone(), more, q.now)
				if d.Replicas < base {
					t.Fatalf(
						"round %d: with %d jobs more of %s %d replicas, without %d\nat %v, target %v, times %v\nless %+v\nmore %+v",
						round, n, more.Functions[i].Name, d.Replicas, base, now, q.policy.TargetWait, times,
						q.last.Terms, d.Terms,
					)
				}
				if d.Replicas > base {
					raised++
				}
			}
		}
	}
	if raised < 500 {
		t.Errorf("more jobs asked for more replicas in %d cases only: the test tests little", raised)
	}
}
