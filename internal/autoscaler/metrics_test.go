package autoscaler

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/outcome"
	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// TestPoolMetrics: each of a pool's metrics has the value that its name says, and a deleted pool
// leaves none.
func TestPoolMetrics(t *testing.T) {
	t.Parallel()
	a := New(newPlayedServers(), Options{})
	key := types.NamespacedName{Namespace: "jobs", Name: "resize"}
	spec := testSpec(t)
	spec.Mode, spec.Runtime, spec.Workload = "Auto", "exec", "Deployment"
	e := &Pool{used: spec, conditions: []Condition{{"JobsFailing", "True", "MostJobsFail"}}, observed: Observed{
		Workload: workload.State{Replicas: 3, Ready: 2},
	}, view: poolstatus.View{
		At: time.Unix(1_700_000_000, 0), MinReplicas: 1, MaxReplicas: 9, Queued: 12, Running: 5,
		Sample: backlog.Sample{Partial: true},
		Decision: scaling.Decision{
			Replicas: 4, Reason: scaling.ReasonIdle, OldestWait: 90 * time.Second, JobTime: 250 * time.Millisecond,
			NotRunnable: true,
		},
		Learnt: scaling.Learnt{Boot: 7 * time.Second}, TargetWait: 30 * time.Second,
		Functions: []outcome.FunctionCounts{
			{Function: "f", Counts: outcome.Counts{Completed: 20, Failed: 4, DeadLettered: 2, Requeued: 1, Retried: 3}},
			{Function: outcome.OtherFunctions, Counts: outcome.Counts{Completed: 7}},
		},
		Starts: &poolstatus.Starts{Total: outcome.Started{InTime: 21, Late: 3, LateMin: 2, LateMax: 5}},
	}}
	a.pools[key] = e
	a.pools[types.NamespacedName{Namespace: "jobs", Name: "undecided"}] = &Pool{}
	e.divergedAt, e.divergedUp = a.clock.Now(), true
	a.Scaled(key)
	want := map[string]float64{
		"desired_replicas": 4, "replicas": 3, "ready_replicas": 2, "min_replicas": 1, "max_replicas": 9,
		"queued_jobs": 12, "running_jobs": 5,
		"oldest_wait_seconds": 90, "job_seconds": 0.25, "boot_seconds": 7, "sample_partial": 1,
		"backlog_not_runnable": 1, "target_wait_seconds": 30,
		"decision reason=Idle":                   1,
		"jobs_total function=f result=completed": 20, "jobs_total function=f result=failed": 4,
		"jobs_total function=f result=dead_lettered": 2, "jobs_total function=f result=requeued": 1,
		"jobs_total function=f result=retried":                         3,
		"jobs_total function=all other functions result=completed":     7,
		"jobs_total function=all other functions result=failed":        0,
		"jobs_total function=all other functions result=requeued":      0,
		"jobs_total function=all other functions result=retried":       0,
		"jobs_total function=all other functions result=dead_lettered": 0,
		"jobs_started_total wait=in_time":                              21, "jobs_started_total wait=late": 3,
		"jobs_late_bound_total bound=at_least": 2, "jobs_late_bound_total bound=at_most": 5,
		"condition reason=MostJobsFail status=True type=JobsFailing": 1,
		"info mode=Auto runtime=exec workload=Deployment":            1,
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(a)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		name, ofPool := strings.CutPrefix(f.GetName(), "gearman_pool_")
		if !ofPool {
			var delays []uint64 // of scaling down, and up
			for _, m := range f.GetMetric() {
				delays = append(delays, m.GetHistogram().GetSampleCount())
			}
			if f.GetName() != "gearman_scale_delay_seconds" || !slices.Equal(delays, []uint64{0, 1}) {
				t.Errorf("unexpected: %v", f)
			}
			continue
		}
		for _, m := range f.GetMetric() {
			series, pool := name, ""
			for _, l := range m.GetLabel() {
				switch l.GetName() {
				case "namespace", "pool":
					pool += l.GetValue() + "/"
				default:
					series += " " + l.GetName() + "=" + l.GetValue()
				}
			}
			if pool != "jobs/resize/" {
				t.Errorf("%s is of pool %s", series, pool)
			}
			got[series] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	a.Forget(key)
	if n := testutil.CollectAndCount(a, "gearman_pool_replicas"); n != 0 {
		t.Errorf("%d series are left of a pool that is gone", n)
	}
}
