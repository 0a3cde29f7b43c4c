package autoscaler

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/outcome"
	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
	"github.com/gearman-operator/gearman-operator/internal/telemetry"
)

func TestNoteOutcomes(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	law := &scaling.Policy{TargetWait: 30 * time.Second}
	functions := func(ok, failed int64) []backlog.FunctionSample {
		return []backlog.FunctionSample{
			{Name: "f", Counters: telemetry.Counters{OK: ok, Failed: failed}}, {Name: "g", Counters: telemetry.Counters{Requeued: 1}},
		}
	}
	p := &Pool{}
	p.noteOutcomes([]backlog.FunctionSample{{Name: "f"}}, law, now)
	if p.outcomes != nil || p.view.JobsTotal != (outcome.Counts{}) || p.view.TargetWait != 30*time.Second {
		t.Errorf("without a job: %+v, %+v", p.outcomes, p.view)
	}
	p.noteOutcomes(functions(3, 0), law, now)
	want := outcome.Counts{Completed: 3, Requeued: 1}
	if diff := cmp.Diff(want, p.view.LastHour); diff != "" || p.view.Failing {
		t.Errorf("the first jobs count (failing %v; -want +got):\n%s", p.view.Failing, diff)
	}
	p.noteOutcomes(functions(3, 9), law, now.Add(time.Second))
	want.Failed = 9
	if diff := cmp.Diff(want, p.view.JobsTotal); diff != "" || !p.view.Failing {
		t.Errorf("nine of twelve failed (failing %v; -want +got):\n%s", p.view.Failing, diff)
	}
}

// TestSlowStart: the condition begins above the target wait and ends well below it.
func TestSlowStart(t *testing.T) {
	t.Parallel()
	p := &Pool{}
	for i, step := range []struct {
		boot, target time.Duration
		want         bool
	}{
		{0, 30 * time.Second, false},
		{29 * time.Second, 30 * time.Second, false},
		{31 * time.Second, 30 * time.Second, true},
		{28 * time.Second, 30 * time.Second, true},
		{23 * time.Second, 30 * time.Second, false},
		{28 * time.Second, 30 * time.Second, false},
		{40 * time.Second, 0, false}, // jobsPerReplica alone promises no time
	} {
		p.view = poolstatus.View{Learnt: scaling.Learnt{Boot: step.boot}}
		p.noteOutcomes(nil, &scaling.Policy{TargetWait: step.target}, time.Unix(1_700_000_000, 0))
		if p.view.SlowStart != step.want {
			t.Errorf("step %d: slow start is %v, want %v", i, p.view.SlowStart, step.want)
		}
	}
}

func TestSetConditions(t *testing.T) {
	t.Parallel()
	p := &Pool{}
	p.SetConditions([]metav1.Condition{
		{Type: "Ready", Status: metav1.ConditionTrue, Reason: "AsExpected"},
		{Type: "Stalled", Status: metav1.ConditionFalse, Reason: "AsExpected"},
		{Type: "JobsFailing", Status: metav1.ConditionTrue, Reason: "MostJobsFail"},
	})
	want := []Condition{{"Ready", "True", "AsExpected"}, {"JobsFailing", "True", "MostJobsFail"}}
	if diff := cmp.Diff(want, p.conditions); diff != "" {
		t.Errorf("conditions for the metrics (-want +got):\n%s", diff)
	}
}
