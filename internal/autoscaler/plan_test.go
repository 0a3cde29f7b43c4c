package autoscaler

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
	"github.com/gearman-operator/gearman-operator/internal/telemetry"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// simPods simulates a pool's reconciles, one each five seconds.
type simPods struct {
	pool   Pool
	w      workload.State
	pods   []workload.Pod
	view   poolstatus.View
	sample scaling.Sample
	now    time.Time
}

func newSimPods(n int, wanted int32) *simPods {
	f := &simPods{now: time.Unix(1_700_000_000, 0)}
	f.pool.used, _ = NewSpec(
		&v1alpha1.GearmanWorkerPool{Spec: v1alpha1.GearmanWorkerPoolSpec{Function: "f", MaxReplicas: 100}},
	)
	f.w = workload.State{UID: "u", Replicas: int32(n), Current: int32(n), Inputs: "a"}
	for i := range n {
		name := fmt.Sprint("p-", i)
		f.pods = append(
			f.pods,
			workload.Pod{
				Name: name, UID: "uid-" + name, Ready: true, Created: f.now.Add(-time.Hour),
				ReadySince: f.now.Add(-time.Hour),
			},
		)
		f.view.Sample.Pods = append(f.view.Sample.Pods, backlog.PodSample{UID: "uid-" + name, Capacity: 1})
	}
	f.view.Decision = scaling.Decision{Replicas: int32(n), Ceiling: 100, Apply: true}
	f.round(scaling.KindOwned)
	f.view.Decision.Replicas = wanted
	return f
}

// round is a poll, a decision and the plan after it; the cache shows what it writes.
func (f *simPods) round(kind scaling.WorkloadKind) Plan {
	f.now = f.now.Add(5 * time.Second)
	for i := range f.view.Sample.Pods {
		f.view.Sample.Pods[i].LastSeen = f.now
	}
	f.view.Sample.Servers = []backlog.ServerSample{{State: backlog.StateOK, Fresh: true, LastGood: f.now}}
	f.pool.evidence = evidenceOf(&f.sample, &f.view.Sample)
	plan := f.pool.PlanReplicas(&f.w, f.pods, kind, &f.view, f.now)
	for _, c := range plan.Costs {
		for i := range f.pods {
			if f.pods[i].Name == c.Pod {
				f.pods[i].Cost = c.Cost
			}
		}
	}
	f.w.Replicas = plan.Replicas
	// The cache shows the costs a second later.
	f.pool.PlanReplicas(
		&f.w, f.pods, kind, &poolstatus.View{Decision: scaling.Decision{Replicas: plan.Replicas, Ceiling: 100}},
		f.now.Add(time.Second),
	)
	return plan
}

func (f *simPods) busy(n int) {
	for i := range f.view.Sample.Pods {
		f.view.Sample.Pods[i].Busy = 0
		if i < n {
			f.view.Sample.Pods[i].Busy = 1
		}
	}
}

// TestPlanReplicas: the rules get the state of a pool's pods and job servers.
func TestPlanReplicas(t *testing.T) {
	t.Parallel()
	type outcome struct {
		Replicas int32
		Costs    int
		Reason   scaling.RemovalReason
	}
	tests := map[string]struct {
		play func(f *simPods) Plan
		want outcome
	}{
		"idle pods go": {func(f *simPods) Plan { return f.round(scaling.KindOwned) }, outcome{2, 0, ""}},
		"beside busy ones they are marked": {
			func(f *simPods) Plan { f.busy(1); return f.round(scaling.KindOwned) },
			outcome{4, 2, scaling.RemovalBusy},
		},
		"and go": {
			func(f *simPods) Plan { f.busy(1); f.round(scaling.KindOwned); return f.round(scaling.KindOwned) },
			outcome{2, 0, ""},
		},
		"an unready pod that was ready works as long as a running job is unexplained": {func(f *simPods) Plan {
			f.pods[3].Ready, f.pods[3].Marks.WasReady = false, true
			f.view.Sample.Pods = f.view.Sample.Pods[:3]
			f.sample.Functions = []scaling.FunctionSample{{Name: "f", Total: 1, Running: 1}}
			return f.round(scaling.KindOwned)
		}, outcome{4, 1, scaling.RemovalUnready}},
		"its telemetry explains the job": {func(f *simPods) Plan {
			f.pods[3].Ready, f.pods[3].Marks.WasReady = false, true
			f.sample.Functions = []scaling.FunctionSample{{Name: "f", Total: 1, Running: 1, Busy: 1}}
			return f.round(scaling.KindOwned)
		}, outcome{2, 0, ""}},
		"without a container it does not work": {func(f *simPods) Plan {
			f.pods[3].Ready, f.pods[3].Marks = false, workload.PodMarks{WasReady: true, Stopped: true}
			f.sample.Functions = []scaling.FunctionSample{{Name: "f", Total: 1, Running: 1}}
			return f.round(scaling.KindOwned)
		}, outcome{2, 0, ""}},
		"a pod of somebody else's neither counts nor blocks": {func(f *simPods) Plan {
			f.pods[0].Marks.Unowned = true
			f.w.Replicas, f.w.Current = 3, 3
			f.busy(1)
			return f.round(scaling.KindOwned)
		}, outcome{2, 0, ""}},
		"pods that the cache lacks may be busy": {func(f *simPods) Plan {
			f.pods = f.pods[:3]
			return f.round(scaling.KindOwned)
		}, outcome{4, 0, scaling.RemovalHeld}},
		"a job server that does not answer": {func(f *simPods) Plan {
			f.sample.Partial = true
			return f.round(scaling.KindOwned)
		}, outcome{4, 0, scaling.RemovalHeld}},
		"a bound needs no answer": {func(f *simPods) Plan {
			f.sample.Partial = true
			f.view.Decision.Ceiling = 2
			f.round(scaling.KindOwned)
			return f.round(scaling.KindOwned)
		}, outcome{2, 0, scaling.RemovalHeld}},
		"a target Deployment with a busy pod": {
			func(f *simPods) Plan { f.busy(1); return f.round(scaling.KindTargetDeployment) },
			outcome{4, 0, scaling.RemovalBusy},
		},
		"a target StatefulSet goes down to its highest busy pod": {
			func(f *simPods) Plan { f.busy(3); return f.round(scaling.KindTargetStatefulSet) },
			outcome{3, 0, scaling.RemovalBusy},
		},
		"pods that find no node are not ordered again": {func(f *simPods) Plan {
			f.pods[3].Ready, f.pods[3].Trouble, f.pods[3].Marks.Unassigned = false, workload.TroubleScheduling, true
			f.view.Decision.Replicas = 5
			return f.round(scaling.KindOwned)
		}, outcome{4, 0, ""}},
		"pods that are gated are waited for": {func(f *simPods) Plan {
			f.pods[3].Ready, f.pods[3].Marks = false, workload.PodMarks{Unassigned: true, Gated: true}
			f.view.Decision.Replicas = 5
			return f.round(scaling.KindOwned)
		}, outcome{5, 0, ""}},
		"the API server refuses pods": {func(f *simPods) Plan {
			f.pods, f.w.Current, f.w.Failure = f.pods[:3], 3, "exceeded quota"
			f.view.Decision.Replicas = 5
			return f.round(scaling.KindOwned)
		}, outcome{4, 0, ""}},
		"the cache is behind the last write": {func(f *simPods) Plan {
			f.pool.ObserveReplicas(&f.w, v1alpha1.ModeAuto, f.now)
			f.pool.WroteReplicas(4, 9)
			return f.round(scaling.KindOwned)
		}, outcome{4, 0, ""}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan := tt.play(newSimPods(4, 2))
			if diff := cmp.Diff(tt.want, outcome{plan.Replicas, len(plan.Costs), plan.Removal.Reason}); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestAJobServerTakenOut: its workers may still run jobs that no sample shows, so the pool is held.
func TestAJobServerTakenOut(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		after []string
		want  bool
	}{
		"taken out": {[]string{"b"}, true}, "added": {[]string{"a", "b", "c"}, false},
		"the same": {[]string{"b", "a"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := serverRemoved([]string{"a", "b"}, tt.after); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestAJobServerTakenOutHoldsThePool: the pool is held as after a restart of the job server, not
// only as long as it was held anyway.
func TestAJobServerTakenOutHoldsThePool(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		after []string
		held  scaling.Hold
	}{"taken out": {[]string{"b:1"}, scaling.HoldRestart}, "the same": {[]string{"a:1", "b:1"}, scaling.HoldStart}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			servers := newPlayedServers()
			key := types.NamespacedName{Namespace: "ns", Name: "p"}
			now := time.Now()
			servers.samples[backlog.PoolKey(key)] = backlog.Sample{
				Servers:   []backlog.ServerSample{{Address: "b:1", State: backlog.StateOK, Fresh: true, LastGood: now}},
				Functions: []backlog.FunctionSample{{Name: "f"}},
			}
			a := New(servers, Options{})
			before, after := testSpec(t), testSpec(t)
			before.Poll.Servers, after.Poll.Servers = []string{"a:1", "b:1"}, tt.after
			observed := Observed{Workload: workload.State{Exists: true, Replicas: 3, Current: 3, Ready: 3}}
			a.Observe(key, before, observed, noLearnt)
			if got := a.Observe(key, after, observed, noLearnt).Decision.Held; got != tt.held {
				t.Errorf("held by %q, want %q", got, tt.held)
			}
		})
	}
}

// A worker's own report takes precedence over what Kubernetes reports about its pod.
func TestReportedTrouble(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		letter    byte
		otherwise scaling.Trouble
		want      scaling.Trouble
	}{
		"nothing":                 {0, scaling.TroubleNone, scaling.TroubleNone},
		"nothing, and it crashes": {0, scaling.TroubleFailing, scaling.TroubleFailing},
		"no command":              {telemetry.TroubleStart, scaling.TroubleNone, scaling.TroubleTakesNoJobs},
		"no process":              {telemetry.TroubleProcess, scaling.TroubleFailing, scaling.TroubleTakesNoJobs},
		"no service":              {telemetry.TroubleUnreachable, scaling.TroubleNone, scaling.TroubleUnreachable},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pods := []workload.Pod{{UID: "a", Ready: true}}
			if tc.otherwise == scaling.TroubleFailing {
				pods[0].Trouble = workload.TroubleCrash
			}
			sample := backlog.Sample{Pods: []backlog.PodSample{{UID: "a", Trouble: tc.letter}}}
			if got := rulePods(pods, &sample)[0].Trouble; got != tc.want {
				t.Errorf("trouble %v, want %v", got, tc.want)
			}
		})
	}
}

// TestAMinimumTakenAwayWaitsForNews: after a minimum is lowered, pods are removed only with a newer
// answer of the job servers; jobs may have arrived since the last one.
func TestAMinimumTakenAwayWaitsForNews(t *testing.T) {
	t.Parallel()
	f := newSimPods(3, 3)
	p := &f.pool
	spec := func(minimum int32) *Spec {
		s, err := NewSpec(&v1alpha1.GearmanWorkerPool{
			Spec: v1alpha1.GearmanWorkerPoolSpec{Function: "f", MinReplicas: minimum, MaxReplicas: 100},
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	p.used, p.state = spec(3), scaling.NewState(scaling.Learnt{}, f.now)
	p.observed = Observed{Workload: f.w, Pods: f.pods}
	p.observed.Workload.Ready = 3
	polled := f.view.Sample
	polled.Functions = []backlog.FunctionSample{{Name: "f"}}
	poll := func() {
		f.now = f.now.Add(5 * time.Second)
		polled.Time = f.now
		polled.Servers = []backlog.ServerSample{{Address: "s:1", State: backlog.StateOK, Fresh: true, LastGood: f.now}}
		polled.Pods = slices.Clone(polled.Pods)
		for i := range polled.Pods {
			polled.Pods[i].LastSeen = f.now
		}
	}
	plan := func() int32 {
		p.Decide(polled, f.now, func(string) bool { return false })
		return p.PlanReplicas(&f.w, f.pods, scaling.KindOwned, &p.view, f.now).Replicas
	}
	for range 60 {
		poll()
		if n := plan(); n != 3 {
			t.Fatalf("%d replicas below the minimum", n)
		}
	}
	p.used = spec(0)
	for range 4 { // reconciles between two polls
		f.now = f.now.Add(time.Second)
		if n := plan(); n != 3 || p.view.Decision.Replicas != 0 {
			t.Fatalf("%d replicas for %d wanted, though the job servers' answer is older than the wish", n,
				p.view.Decision.Replicas)
		}
	}
	poll()
	if n := plan(); n != 0 {
		t.Errorf("%d replicas, though the job servers have answered since", n)
	}
}
