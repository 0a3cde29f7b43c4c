//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/test/cluster"
)

const (
	lateTarget = 15 * time.Second
	lateLong   = 40 * time.Second // of the jobs behind which the late ones wait
	// lateNear is how close to the target a wait must be for polls to put it on the other side.
	lateNear = 5 * time.Second
	// lateAim is by how many points the share of late jobs may differ from the submitter's.
	lateAim = 1.0
)

// TestLateJobs: the share of late jobs in the pool's status equals the submitter's. The submitter
// records when each job was submitted, with the clock that also dates the jobs' starts. Most jobs
// find a free slot; one burst waits behind jobs that occupy all slots for much longer than the
// target.
func TestLateJobs(t *testing.T) {
	t.Parallel()
	s := stage(t)
	disturb.RLock() // an operator's counts are lost when it ends
	defer disturb.RUnlock()
	for try := range 3 {
		before := operatorStarts(t)
		late := measureLate(t, s, fmt.Sprintf("late-%d", try))
		if operatorStarts(t) == before {
			if err := late.compare(t, s); err == nil || operatorStarts(t) == before {
				must(t, err)
				return
			}
		}
		t.Log("the operator has restarted, and so has what it counts: once more, with a new pool")
		eventually(t, 5*time.Minute, func(ctx context.Context) error {
			err := s.Client.Delete(ctx, &v1alpha1.GearmanWorkerPool{
				ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: cluster.PoolName},
			})
			if apierrors.IsNotFound(err) {
				return nil
			}
			return errors.Join(errors.New("the pool is still there"), err)
		})
	}
	t.Skip("the operator lost its lease in each of three tries: this machine is too busy to measure anything")
}

// operatorStarts returns a value that differs between processes of the operator.
func operatorStarts(t *testing.T) (started string) {
	t.Helper()
	eventually(t, 5*time.Minute, func(ctx context.Context) error {
		var list corev1.PodList
		err := live.Client.List(
			ctx, &list, client.InNamespace(cluster.OperatorNamespace), client.MatchingLabels(cluster.OperatorLabels),
		)
		if err != nil {
			return err
		}
		if err := live.OperatorReady(ctx); err != nil {
			return err
		}
		started = ""
		for i := range list.Items {
			for _, c := range list.Items[i].Status.ContainerStatuses {
				started += fmt.Sprintf("%s %d;", list.Items[i].Name, c.RestartCount)
			}
		}
		return nil
	})
	return started
}

// lateJobs counts the jobs whose waits the ledger knows: all, those that started late, and those
// that waited for about the target.
type lateJobs struct{ all, late, near int }

func applyLatePool(ctx context.Context, s *cluster.Stage, turn int) error {
	return s.ApplyPool(ctx, func(spec map[string]any) {
		spec["minReplicas"], spec["maxReplicas"], spec["concurrency"] = int64(1), int64(1), int64(4)
		scaling(spec, "targetWaitSeconds", int64(lateTarget/time.Second))
		scaling(spec, "pollSeconds", int64(1))
		scaling(spec, "idleSeconds", int64(15+turn))
	})
}

// measureLate makes a new pool process jobs, whose ids begin with the prefix.
func measureLate(t *testing.T, s *cluster.Stage, prefix string) lateJobs {
	t.Helper()
	ctx := within(t, 10*time.Minute)
	must(t, applyLatePool(ctx, s, 0))
	ready(t, s, 1, 4*time.Minute)
	condition(t, s, v1alpha1.ConditionJobServersReachable, "True", 2*time.Minute)

	submitted := map[string]string{} // by job: the suffix of the notes before and after its submission
	var all []cluster.Job
	submit := func(list []cluster.Job) {
		id := list[0].ID
		must(t, s.Note(ctx, "before-"+id))
		must(t, s.Submit(ctx, list))
		must(t, s.Note(ctx, "after-"+id))
		for _, j := range list {
			submitted[j.ID] = id
		}
		all = append(all, list...)
	}
	oneByOne := func(list []cluster.Job) {
		for i := range list {
			submit(list[i : i+1])
		}
		allRanOnce(t, s, all, 4*time.Minute)
	}
	oneByOne(jobs(prefix+"-before", 30, 50*time.Millisecond))
	submit(jobs(prefix+"-long", 4, lateLong))
	started(t, s, 4, time.Minute)
	submit(jobs(prefix+"-burst", 60, 50*time.Millisecond))
	allRanOnce(t, s, all, 4*time.Minute)
	oneByOne(jobs(prefix+"-after", 30, 50*time.Millisecond))
	late, near := lateByLedger(ctx, t, s, submitted)
	return lateJobs{len(all), late, near}
}

// compare waits until the pool's status counts all jobs with the submitter's share of late ones.
func (l lateJobs) compare(t *testing.T, s *cluster.Stage) error {
	t.Helper()
	percent := func(n, of int64) float64 { return 100 * float64(n) / float64(max(of, 1)) }
	truth := percent(int64(l.late), int64(l.all))
	// A machine that stalls may bring a wait close to the target, where it can count either way.
	aim := lateAim + percent(int64(l.near), int64(l.all))
	turn := 0
	return cluster.Wait(within(t, 5*time.Minute), func(ctx context.Context) error {
		p, err := s.Pool(ctx)
		if err != nil {
			return err
		}
		h := p.Status.LastHour
		if h == nil {
			h = &v1alpha1.OutcomeStatus{}
		}
		got := percent(h.Late, h.Started)
		if h.Completed == int64(l.all) && math.Abs(got-truth) <= aim {
			t.Logf("%d jobs, %.2f%% late; by the status %.2f%% of %d (%d to %d jobs); %d waited for about the target",
				l.all, truth, got, h.Started, h.LateAtLeast, h.LateAtMost, l.near)
			return nil
		}
		// The last few jobs do not cause a write of the status, but a change of the spec does.
		turn++
		return errors.Join(
			fmt.Errorf("status.lastHour is %+v with %.2f%% late, want %d completed and %.2f%% late, give or take %.2f",
				*h, got, l.all, truth, aim),
			applyLatePool(ctx, s, turn),
		)
	})
}

// lateByLedger counts the jobs that started later than the target after their submission, and those
// whose wait was about the target as far as the two notes show.
func lateByLedger(ctx context.Context, t *testing.T, s *cluster.Stage, submitted map[string]string) (late, near int) {
	t.Helper()
	runs, err := s.Runs(ctx)
	must(t, err)
	at := map[string]time.Time{}
	for _, r := range runs {
		at[r.ID] = r.Start
	}
	for job, id := range submitted {
		begun, before, after := at[job], at["before-"+id], at["after-"+id]
		if begun.IsZero() || before.IsZero() || after.IsZero() {
			t.Fatalf("the ledger lacks the start of job %s or its submission: %v, %v, %v", job, begun, before, after)
		}
		longest, shortest := begun.Sub(before), begun.Sub(after)
		if longest > lateTarget {
			late++
		}
		if longest > lateTarget-lateNear && shortest < lateTarget+lateNear {
			near++
		}
	}
	return late, near
}
