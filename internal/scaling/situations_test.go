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

// TestPodsComingUpAreNoSignOfAStuckQueue: at each tick some pods have just become ready and hold no job yet, while hundreds of jobs wait. The
// jobs can be begun all the same.
func TestPodsComingUpAreNoSignOfAStuckQueue(t *testing.T) {
	t.Parallel()
	q := newPool(Policy{MaxReplicas: 100, Tick: 5 * time.Second}, 40)
	q.queue(459)
	for up := 6; up <= 36; up += 6 {
		// Of the pods that are up the last six registered a moment ago.
		q.pods(int32(up))
		for i := up - 6; i < up; i++ {
			q.sample.Pods[i].Registered = q.now
		}
		q.busy(up - 6)
		if d := q.tick(); d.NotRunnable || d.Terms.Stuck > 0 {
			t.Fatalf("with %d pods up: not runnable %v, stuck %g", up, d.NotRunnable, d.Terms.Stuck)
		}
	}
	// The same pods, idle for long beside the same queue, are another matter.
	q.pods(36)
	q.busy(0)
	if d := q.ticks(20); !d.NotRunnable {
		t.Error("free slots were left without jobs for 100 s, and the queue still counts as runnable")
	}
}
