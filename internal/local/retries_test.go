package local

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
)

// Only workers can requeue a job when its next attempt is due, so one process is kept for it, like
// a pod in a cluster.
func TestWaitingRetriesKeepAProcess(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		retry   *v1alpha1.RetrySpec
		max     int32
		waiting int64
		want    int32
		polled  []string
	}{
		"a job waits":         {&v1alpha1.RetrySpec{}, 10, 3, 1, []string{"f", "f.retry"}},
		"none waits":          {&v1alpha1.RetrySpec{}, 10, 0, 0, []string{"f", "f.retry"}},
		"the maximum is zero": {&v1alpha1.RetrySpec{}, 0, 3, 0, []string{"f", "f.retry"}},
		"without retries":     {nil, 10, 0, 0, []string{"f"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				spec := &v1alpha1.GearmanWorkerPool{Spec: v1alpha1.GearmanWorkerPoolSpec{
					Servers: []v1alpha1.ServerAddress{"127.0.0.1:1"}, Function: "f", MaxReplicas: tc.max,
					Concurrency: 1,
					Runtime: &v1alpha1.RuntimeSpec{
						Exec: &v1alpha1.ExecRuntime{Command: []string{"true"}}, Retry: tc.retry,
					},
				}}
				m := newMachine(t, spec, &simulated{begin: time.Now()})
				if diff := cmp.Diff(tc.polled, m.pool.plan.sub.Functions); diff != "" {
					t.Errorf("polled functions (-want +got):\n%s", diff)
				}
				now := time.Now()
				sample := backlog.Sample{
					Time: now,
					Servers: []backlog.ServerSample{
						{Address: "127.0.0.1:1", State: backlog.StateOK, Fresh: true, LastGood: now},
					},
					Functions: []backlog.FunctionSample{{Name: "f"}},
				}
				if tc.retry != nil {
					sample.Functions = append(
						sample.Functions,
						backlog.FunctionSample{
							Name: "f.retry", Total: tc.waiting, Queued: tc.waiting, LongestQueue: tc.waiting,
						},
					)
				}
				m.pool.decideOn(&sample, now, func(string) bool { return false })
				if got := m.pool.decision.Replicas; got != tc.want {
					t.Errorf("%d processes, want %d: %s", got, tc.want, m.pool.decision.Message)
				}
				if n := len(m.pool.sample.Functions); n != 1 {
					t.Errorf("%d functions count as backlog, want f alone", n)
				}
			})
		})
	}
}
