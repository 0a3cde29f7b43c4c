package controllers

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// TestPoolMetrics: each of a pool's metrics tells what its name says, and a pool that is gone leaves none.
func TestPoolMetrics(t *testing.T) {
	t.Parallel()
	a := NewAutoscaler(nil, clock.RealClock{})
	key := types.NamespacedName{Namespace: "jobs", Name: "resize"}
	e := &entry{facts: poolFacts{workload: workload{replicas: 3, ready: 2}}, view: view{
		at: time.Unix(1_700_000_000, 0), minReplicas: 1, maxReplicas: 9, queued: 12, running: 5, sample: backlog.Sample{Partial: true},
		decision: scaling.Decision{Replicas: 4, Reason: scaling.ReasonIdle, OldestWait: 90 * time.Second, JobTime: 250 * time.Millisecond, NotRunnable: true},
		learnt:   scaling.Learnt{Boot: 7 * time.Second},
	}}
	a.pools[key] = e
	a.pools[types.NamespacedName{Namespace: "jobs", Name: "undecided"}] = &entry{}
	e.off, e.offUp = a.clock.Now(), true
	a.scaled(key)
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
	a.forget(key)
	if n := testutil.CollectAndCount(a, "gearman_pool_replicas"); n != 0 {
		t.Errorf("%d series are left of a pool that is gone", n)
	}
}
