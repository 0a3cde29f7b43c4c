//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/test/cluster"
)

// backlog gives a pool more jobs than its workers can hold: ten workers, jobs of five seconds, for
// about half a minute.
func backlog(t *testing.T, s *cluster.Stage, prefix string, n int) []cluster.Job {
	t.Helper()
	ctx := within(t, 5*time.Minute)
	must(t, s.ApplyPool(ctx, func(spec map[string]any) {
		spec["maxReplicas"] = int64(10)
		scaling(spec, "jobsPerReplica", int64(1))
		scaling(spec, "idleSeconds", int64(10))
	}))
	list := jobs(prefix, n, 5*time.Second)
	must(t, s.Submit(ctx, list))
	started(t, s, 10, 4*time.Minute)
	return list
}

// keepsReplicas disturbs a pool whose workers have more jobs than they can hold, and asserts that
// none is removed as long as that is true, and that no job suffers. If the jobs complete before the
// disturbance is over, that shows nothing, and it tries again.
func keepsReplicas(t *testing.T, s *cluster.Stage, prefix string, disturbance func(ctx context.Context)) {
	t.Helper()
	ctx := within(t, 10*time.Minute)
	const enough = 10 // queued jobs: ten replicas are wanted then
	for try := range 3 {
		list := backlog(t, s, fmt.Sprintf("%s-%d", prefix, try), 100)
		stop := leastWhile(t, s, func(q cluster.Queue) bool { return q.Queued > enough })
		disturbance(ctx)
		q, err := s.Queue(ctx)
		must(t, err)
		queued(t, s, enough, 5*time.Minute)
		if got := stop(); got >= 0 && got < 10 {
			t.Errorf("down to %d replicas while more than %d jobs were queued, want 10 all the time", got, enough)
		}
		allRanOnce(t, s, list, 5*time.Minute)
		if q.Queued > enough {
			return
		}
		t.Logf("%d jobs were queued when it was over: that shows nothing", q.Queued)
	}
	t.Error("it took longer than 100 jobs, three times")
}

// TestOperatorKilled: the operator is killed in the middle of a backlog and stays away for a while.
// Jobs continue, and when it is back nothing is scaled down by mistake.
func TestOperatorKilled(t *testing.T) {
	t.Parallel()
	s := stage(t)
	disturb.Lock()
	defer disturb.Unlock()
	now := int64(0)
	pods := live.API.CoreV1().Pods(cluster.OperatorNamespace)
	keepsReplicas(t, s, "killed", func(ctx context.Context) {
		kill := func() {
			must(
				t,
				pods.DeleteCollection(
					ctx, metav1.DeleteOptions{GracePeriodSeconds: &now},
					metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=manager"},
				),
			)
		}
		kill()
		eventually(t, 2*time.Minute, live.OperatorReady)
		kill()
		must(t, live.ScaleOperator(ctx, 0))
		time.Sleep(10 * time.Second) // the fault itself: how long it is away
		must(t, live.ScaleOperator(ctx, 1))
		eventually(t, 2*time.Minute, live.OperatorReady)
	})
	atZero(t, s, 6*time.Minute)
}

// queued waits until at most n jobs are queued.
func queued(t *testing.T, s *cluster.Stage, n int, d time.Duration) {
	t.Helper()
	eventually(t, d, func(ctx context.Context) error {
		q, err := s.Queue(ctx)
		if err == nil && q.Queued > n {
			err = fmt.Errorf("%d jobs queued, want %d at most", q.Queued, n)
		}
		return err
	})
}

// TestJobServerHangs: gearmand hangs for a minute, like an overloaded machine. Nothing is scaled
// down, the condition says why, and everything recovers.
func TestJobServerHangs(t *testing.T) {
	t.Parallel()
	s := stage(t)
	ctx := within(t, 10*time.Minute)
	must(t, s.AddFreezer(ctx))
	list := backlog(t, s, "hang", 60)
	stop := least(t, s)
	defer stop()
	must(t, s.Freeze(ctx))
	begin := time.Now()
	t.Log("unreachable:", condition(t, s, v1alpha1.ConditionJobServersReachable, "False", 45*time.Second))
	time.Sleep(time.Minute - time.Since(begin)) // the fault itself
	if got := stop(); got < 10 {
		t.Errorf("down to %d replicas while the job server hung, want 10", got)
	}
	must(t, s.Thaw(ctx))
	condition(t, s, v1alpha1.ConditionJobServersReachable, "True", time.Minute)
	allRanOnce(t, s, list, 5*time.Minute)
	atZero(t, s, 6*time.Minute)
}

// TestJobServerGone: gearmand is gone for a minute and comes back as a new pod with an empty queue.
// Nothing is scaled down meanwhile, running jobs are not disturbed, and the pool serves the new job
// server.
func TestJobServerGone(t *testing.T) {
	t.Parallel()
	s := stage(t)
	ctx := within(t, 10*time.Minute)
	backlog(t, s, "gone", 30)
	stop := least(t, s)
	defer stop()
	must(t, s.ScaleJobServer(ctx, 0))
	begin := time.Now()
	t.Log("unreachable:", condition(t, s, v1alpha1.ConditionJobServersReachable, "False", 45*time.Second))
	time.Sleep(time.Minute - time.Since(begin)) // the fault itself
	if got := stop(); got < 10 {
		t.Errorf("down to %d replicas while the job server was gone, want 10", got)
	}
	must(t, s.ScaleJobServer(ctx, 1))
	condition(t, s, v1alpha1.ConditionJobServersReachable, "True", 2*time.Minute)
	list := jobs("back", 20, time.Second)
	eventually(t, time.Minute, func(ctx context.Context) error { return s.Submit(ctx, list) })
	allRanOnce(t, s, list, 3*time.Minute)
	atZero(t, s, 6*time.Minute)
}

// TestUpgradeOperator: a new version of the operator restarts no worker.
func TestUpgradeOperator(t *testing.T) {
	t.Parallel()
	s := stage(t)
	list := backlog(t, s, "upgrade", 60)
	ctx := within(t, 10*time.Minute)
	before, err := s.ReplicaSets(ctx)
	must(t, err)
	if len(before) != 1 {
		t.Fatalf("ReplicaSets before: %v, want one", before)
	}
	disturb.Lock()
	defer disturb.Unlock()
	next, archive := os.Getenv("IMAGE_NEXT"), os.Getenv("IMAGE_NEXT_ARCHIVE")
	if next == "" {
		t.Fatal(errors.New("IMAGE_NEXT is not set: run this by make e2e"))
	}
	must(t, live.InstallOperator(ctx, next, archive))
	defer func() { must(t, live.InstallOperator(ctx, os.Getenv("IMAGE"), os.Getenv("IMAGE_ARCHIVE"))) }()
	eventually(t, 2*time.Minute, live.OperatorReady)
	// The new operator has processed this pool once it has seen a change of it.
	must(t, s.ApplyPool(ctx, func(spec map[string]any) {
		spec["maxReplicas"] = int64(11)
		scaling(spec, "jobsPerReplica", int64(1))
		scaling(spec, "idleSeconds", int64(10))
	}))
	eventually(t, time.Minute, func(ctx context.Context) error {
		p, err := s.Pool(ctx)
		if err == nil && p.Status.ObservedGeneration != p.Generation {
			err = fmt.Errorf("generation %d observed, want %d", p.Status.ObservedGeneration, p.Generation)
		}
		return err
	})
	allRanOnce(t, s, list, 5*time.Minute)
	after, err := s.ReplicaSets(ctx)
	must(t, err)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("ReplicaSets (-before +after):\n%s", diff)
	}
}
