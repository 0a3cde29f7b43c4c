package autoscaler

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/poolrow"
	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// TestRows: a row has the figures of the last decision and the most severe problem.
func TestRows(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	a := New(newPlayedServers(), Options{Clock: clocktesting.NewFakePassiveClock(now)})
	a.pools[types.NamespacedName{Namespace: "jobs", Name: "resize"}] = &Pool{
		conditions: []Condition{{"JobsFailing", "True", "MostJobsFail"}, {"Ready", "True", "AsExpected"}},
		observed:   Observed{Workload: workload.State{Replicas: 3, Ready: 2}},
		view: poolstatus.View{
			At: now, MinReplicas: 1, MaxReplicas: 9, Queued: 12, Running: 5,
			Sample: backlog.Sample{Servers: []backlog.ServerSample{
				{Address: "a:4730", State: backlog.StateOK, LastGood: now.Add(-2 * time.Second)},
				{Address: "b:4730", State: backlog.StateRefused, LastGood: now.Add(-40 * time.Second)},
				{Address: "c:4730", State: backlog.StateRefused, Unlisted: true},
				{Address: "d:4730", State: backlog.StateConnecting},
			}},
			Decision: scaling.Decision{
				Replicas: 4, Reason: scaling.ReasonIdle, OldestWait: 90 * time.Second, JobTime: 250 * time.Millisecond,
			},
		},
	}
	a.pools[types.NamespacedName{Namespace: "apps", Name: "undecided"}] = &Pool{}
	want := []poolrow.Row{
		{Namespace: "apps", Pool: "undecided"},
		{
			Namespace: "jobs", Pool: "resize", Queued: 12, Running: 5, WaitSeconds: 90, JobSeconds: 0.25, Replicas: 3,
			Desired: 4, Ready: 2, Min: 1, Max: 9,
			Reason: "Idle", Severity: "critical", Problem: "Jobs fail.", Rank: 3,
			FiguresAgeSeconds: new(2.), Silent: []poolrow.Silent{
				{Server: "c:4730", State: "NoAnswer"},
				{Server: "b:4730", State: "Refused", AnswerAgeSeconds: new(40.)},
			},
		},
	}
	if diff := cmp.Diff(want, a.Rows()); diff != "" {
		t.Error(diff)
	}
}
