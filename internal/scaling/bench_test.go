package scaling

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// busyPool runs an overloaded pool of that many functions until its queue has 100 cohorts, and
// returns the function that decides once more.
func busyPool(functions, pods int) func() Decision {
	p := Policy{MaxReplicas: int32(pods), TargetWait: 10 * time.Minute}
	in := Sample{Replicas: int32(pods), Answering: 1}
	for i := range pods {
		in.Pods = append(
			in.Pods,
			PodSample{
				Name: fmt.Sprintf("pod-%d", i), Created: start.Add(-time.Hour), Registered: start.Add(-time.Hour),
				Ready: true, Telemetry: true, Busy: 1, Capacity: 1,
			},
		)
	}
	for i := range functions {
		in.Functions = append(
			in.Functions,
			FunctionSample{
				Name: fmt.Sprintf("function-%d", i), Busy: int64(pods / functions), Running: int64(pods / functions),
				Total: int64(pods / functions),
			},
		)
	}
	state := NewState(Learnt{}, start)
	now := start
	step := func() (d Decision) {
		now = now.Add(5 * time.Second)
		for i := range in.Functions {
			f := &in.Functions[i]
			f.Total += 5
			f.Ended += 2
			f.EndedSeconds += 20
			f.BusySeconds += float64(f.Busy) * 5
		}
		d, state = Decide(p, state, in, now)
		return d
	}
	for range 120 {
		step()
	}
	return func() Decision {
		for i := range in.Functions {
			in.Functions[i].Total -= 5 // as many start as arrive, so that the queue stays as it is
			in.Functions[i].Ended += 3
		}
		return step()
	}
}

func TestStateSize(t *testing.T) {
	t.Parallel()
	idle := newPool(Policy{MinReplicas: 1, MaxReplicas: 10}, 1)
	idle.ticks(50)
	if size := idle.state.Size(); size > 2<<10 {
		t.Errorf("the state of an idle pool takes %d bytes, more than 2 KiB", size)
	}
	q := newPool(Policy{MaxReplicas: 50, TargetWait: time.Hour, Behavior: &Behavior{
		ScaleUp:   &ScalingRules{Stabilization: time.Minute, Policies: []ScalingPolicy{{PolicyPods, 1, time.Hour}}},
		ScaleDown: &ScalingRules{Stabilization: time.Hour},
	}}, 5)
	q.busy(5)
	worst := 0
	for i := range 2000 {
		q.queue(int64(i * 3))
		q.sample.Functions[0].Ended++
		q.sample.Functions[0].EndedSeconds += 30
		q.sample.Replicas = q.tick().Replicas
		worst = max(worst, q.state.Size())
	}
	if n := len(q.state.Functions[0].Cohorts); n != 100 {
		t.Errorf("a long queue has %d cohorts, not 100", n)
	}
	if worst > 16<<10 {
		t.Errorf("the state of a busy pool takes %d bytes, more than 16 KiB", worst)
	}
	t.Logf("idle %d bytes, busy %d bytes", idle.state.Size(), worst)
	q.queue(0)
	q.busy(0)
	q.ticks(1000)
	if size := q.state.Size(); size > 3<<10 {
		t.Errorf("the state takes %d bytes after the pool went idle", size)
	}
}

// TestAllocations holds a decision about a busy pool to two allocations.
func TestAllocations(t *testing.T) {
	decide := busyPool(1, 200)
	if n := testing.AllocsPerRun(100, func() { decide() }); n > 2 {
		t.Errorf("a decision allocates %v times", n)
	}
}

// cpuTime is the processor time that this process has used, which a busy machine doesn't lengthen
// as it does the time on the clock.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkDecide(b *testing.B) {
	for _, functions := range []int{1, 4} {
		b.Run(fmt.Sprintf("functions=%d", functions), func(b *testing.B) {
			decide := busyPool(functions, 40)
			b.ReportAllocs()
			before := cpuTime()
			for b.Loop() {
				decide()
			}
			b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
		})
	}
}
