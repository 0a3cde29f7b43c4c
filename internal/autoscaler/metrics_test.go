package autoscaler

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// TestPoolMetrics: each of a pool's metrics tells what its name says, and a pool that is gone leaves none.
func TestPoolMetrics(t *testing.T) {
	t.Parallel()
	a := New(newPlayedServers(), Options{})
	key := types.NamespacedName{Namespace: "jobs", Name: "resize"}
	e := &Pool{observed: Observed{Workload: workload.State{Replicas: 3, Ready: 2}}, view: poolstatus.View{
		At: time.Unix(1_700_000_000, 0), MinReplicas: 1, MaxReplicas: 9, Queued: 12, Running: 5, Sample: backlog.Sample{Partial: true},
		Decision: scaling.Decision{Replicas: 4, Reason: scaling.ReasonIdle, OldestWait: 90 * time.Second, JobTime: 250 * time.Millisecond, NotRunnable: true},
		Learnt:   scaling.Learnt{Boot: 7 * time.Second},
	}}
	a.pools[key] = e
	a.pools[types.NamespacedName{Namespace: "jobs", Name: "undecided"}] = &Pool{}
	e.divergedAt, e.divergedUp = a.clock.Now(), true
	a.Scaled(key)
	want := map[string]float64{
		"desired_replicas": 4, "replicas": 3, "ready_replicas": 2, "min_replicas": 1, "max_replicas": 9, "queued_jobs": 12, "running_jobs": 5,
		"oldest_wait_seconds": 90, "job_seconds": 0.25, "boot_seconds": 7, "sample_partial": 1, "backlog_not_runnable": 1, "decision": 1,
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
			if f.GetName() != "gearman_scale_delay_seconds" || f.GetMetric()[0].GetHistogram().GetSampleCount() != 1 {
				t.Errorf("unexpected: %v", f)
			}
			continue
		}
		if len(f.GetMetric()) != 1 {
			t.Fatalf("%s has %d series", f.GetName(), len(f.GetMetric()))
		}
		m := f.GetMetric()[0]
		var labels strings.Builder
		for _, l := range m.GetLabel() {
			labels.WriteString(l.GetName() + "=" + l.GetValue() + " ")
		}
		wantLabels := "namespace=jobs pool=resize "
		if name == "decision" {
			wantLabels += "reason=" + string(scaling.ReasonIdle) + " "
		}
		if labels.String() != wantLabels {
			t.Errorf("%s has the labels %q, want %q", name, labels.String(), wantLabels)
		}
		got[name] = m.GetGauge().GetValue()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	a.Forget(key)
	if n := testutil.CollectAndCount(a, "gearman_pool_replicas"); n != 0 {
		t.Errorf("%d series are left of a pool that is gone", n)
	}
}
