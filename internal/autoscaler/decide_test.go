package autoscaler

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// TestWorthWriting: replicas come before everything else, what is recorded as written does not
// cause a reconcile, and figures alone wait for their minute.
func TestWorthWriting(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	base := poolstatus.View{At: now, Decision: scaling.Decision{Replicas: 2, Apply: true, Reason: scaling.ReasonIdle}}
	tests := map[string]struct {
		mutate   func(*Pool)
		write    bool
		priority int
	}{
		"nothing new":    {func(*Pool) {}, false, priorityStatus},
		"other replicas": {func(p *Pool) { p.view.Decision.Replicas = 3 }, true, priorityScale},
		"other replicas, dry run": {
			func(p *Pool) { p.view.Decision.Replicas, p.view.Decision.Apply = 3, false }, true, priorityStatus,
		},
		"another reason": {
			func(p *Pool) { p.view.Decision.Reason = scaling.ReasonPaused }, true, priorityStatus,
		},
		"figures moved, too soon": {
			func(p *Pool) { p.written.figures.Queued = 5; p.written.at = now.Add(-59 * time.Second) }, false,
			priorityStatus,
		},
		"long not looked at": {func(p *Pool) { p.refreshAt = now }, true, priorityStatus},
		"marks that may be to clear": {func(p *Pool) {
			p.plans = &scaling.PlanState{
				Removal: scaling.RemovalState{Costs: map[string]scaling.PodCost{"a": {Cost: -1}}},
			}
			p.plannedAt = now.Add(-clearMarksAfter)
		}, true, priorityStatus},
		"figures moved": {
			func(p *Pool) { p.written.figures.Queued = 5; p.written.at = now.Add(-time.Minute) }, true, priorityStatus,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &Pool{view: base, written: written{mark: poolstatus.MarkOf(&base)}, refreshAt: now.Add(time.Second)}
			p.observed.Workload.Replicas = 2
			tt.mutate(p)
			if write, priority := p.worthWriting(now); write != tt.write || priority != tt.priority && write {
				t.Errorf("got %v, %d, want %v, %d", write, priority, tt.write, tt.priority)
			}
		})
	}
}

// TestDecide: a record decides without a clock, a queue or a goroutine. At zero it waits for the
// verdict on the backlog.
func TestDecide(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	p := &Pool{}
	asked := 0
	requestProbe := func(string) bool { asked++; return true }
	sample := backlog.Sample{
		Time:      now,
		Servers:   []backlog.ServerSample{{Address: "s:1", State: backlog.StateOK, Fresh: true, LastGood: now}},
		Functions: []backlog.FunctionSample{{Name: "f", Total: 1, Queued: 1, LongestQueue: 1}},
	}
	if write, _ := p.Decide(sample, now, requestProbe); write || !p.view.At.IsZero() {
		t.Error("a pool without a spec is decided on")
	}
	p.used, p.state = testSpec(t), scaling.NewState(scaling.Learnt{}, now)
	if write, _ := p.Decide(sample, now, requestProbe); write || asked != 1 || !p.view.At.IsZero() {
		t.Errorf("write %v, asked %d times; want the verdict on the backlog to be waited for", write, asked)
	}
	p.verdicts.Answer("f", backlog.Runnable, now)
	write, priority := p.Decide(sample, now.Add(time.Second), requestProbe)
	if !write || priority != priorityScale || p.view.Decision.Replicas < 1 || p.view.Queued != 1 {
		t.Errorf("write %v, priority %d, %+v; want replicas for the job", write, priority, p.view)
	}
	if p.divergedAt != now || !p.divergedUp {
		t.Errorf("diverged at %v, up %v; want since the first sample", p.divergedAt, p.divergedUp)
	}
	if delay, up, known := p.scaled(now.Add(3 * time.Second)); delay != 3*time.Second || !up || !known {
		t.Errorf("scaled after %v, up %v, %v", delay, up, known)
	}
	p.observed.Workload = workload.State{Exists: true, Replicas: p.view.Decision.Replicas}
	p.written.mark = poolstatus.MarkOf(&p.view)
	p.refreshAt = now.Add(time.Hour)
	p.recordDivergence()
	if _, _, known := p.scaled(now); known {
		t.Error("a change that no decision asked for has a delay")
	}
}

// BenchmarkDecide measures how long a decision holds the registry's lock: a pool with 20 pods and
// telemetry.
func BenchmarkDecide(b *testing.B) {
	spec, err := NewSpec(&v1alpha1.GearmanWorkerPool{Spec: v1alpha1.GearmanWorkerPoolSpec{
		Servers: []v1alpha1.ServerAddress{"s:1"}, Function: "f", MaxReplicas: 100,
	}})
	if err != nil {
		b.Fatal(err)
	}
	now := time.Unix(1_700_000_000, 0)
	p := &Pool{
		used: spec, observed: Observed{Workload: workload.State{Exists: true, Replicas: 20, Current: 20, Ready: 20}},
		state: scaling.NewState(scaling.Learnt{}, now),
	}
	sample := backlog.Sample{
		Servers:   []backlog.ServerSample{{Address: "s:1", State: backlog.StateOK, Fresh: true, LastGood: now}},
		Functions: []backlog.FunctionSample{{Name: "f", Total: 30, Running: 15, Queued: 15, LongestQueue: 15}},
	}
	for i := range 20 {
		uid := string(rune('a' + i))
		p.observed.Pods = append(
			p.observed.Pods, workload.Pod{Name: uid, UID: uid, Created: now, Ready: true, ReadySince: now},
		)
		sample.Pods = append(
			sample.Pods, backlog.PodSample{UID: uid, Busy: i % 2, Capacity: 1, FirstSeen: now, LastSeen: now},
		)
	}
	requestProbe := func(string) bool { return true }
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(5 * time.Second)
		sample.Servers[0].LastGood, sample.Time = now, now
		p.Decide(sample, now, requestProbe)
	}
}

// BenchmarkDecideManyQueues measures the same for the largest pool at zero: 64 functions with jobs
// at each of 256 job servers.
func BenchmarkDecideManyQueues(b *testing.B) {
	const functions, servers = 64, 256
	pool := v1alpha1.GearmanWorkerPool{
		Spec: v1alpha1.GearmanWorkerPoolSpec{Servers: []v1alpha1.ServerAddress{"s:1"}, MaxReplicas: 100},
	}
	now := time.Unix(1_700_000_000, 0)
	sample := backlog.Sample{}
	for i := range functions {
		name := fmt.Sprintf("function-%02d", i)
		pool.Spec.Functions = append(pool.Spec.Functions, v1alpha1.FunctionName(name))
		sample.Functions = append(sample.Functions, backlog.FunctionSample{Name: name, Total: servers, Queued: servers})
	}
	for i := range servers {
		server := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 4730)
		sample.Servers = append(sample.Servers, backlog.ServerSample{
			Address: server.String(), Resolved: server, State: backlog.StateOK, Fresh: true, LastGood: now,
		})
		for _, f := range sample.Functions {
			sample.Queues = append(sample.Queues, backlog.QueueSample{
				Function: f.Name, Server: server, AsOf: now, Total: 1,
			})
		}
	}
	spec, err := NewSpec(&pool)
	if err != nil {
		b.Fatal(err)
	}
	p := &Pool{
		used: spec, observed: Observed{Workload: workload.State{Exists: true}},
		state: scaling.NewState(scaling.Learnt{}, now),
	}
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second)
		sample.Time = now
		for i := range sample.Servers {
			sample.Servers[i].LastGood = now
		}
		for i := range sample.Queues {
			sample.Queues[i].AsOf, sample.Queues[i].Total = now, 1+now.Unix()%7
		}
		p.Decide(sample, now, func(string) bool { return false })
	}
}

// TestWaitingRetriesKeepAPod: only workers can requeue a job when its next attempt is due, so one
// pod is kept for it. It is no backlog, and it does not override what the user set by hand.
func TestWaitingRetriesKeepAPod(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	tests := map[string]struct {
		scaling *v1alpha1.ScalingSpec
		max     int32
		retry   bool
		waiting int64
		want    int32
	}{
		"a job waits":         {max: 10, retry: true, waiting: 3, want: 1},
		"none waits":          {max: 10, retry: true},
		"the maximum is zero": {max: 0, retry: true, waiting: 3},
		"held at zero by hand": {
			scaling: &v1alpha1.ScalingSpec{Mode: v1alpha1.ModeManual, ManualReplicas: new(int32(0))}, max: 10,
			retry: true, waiting: 3,
		},
		"a function of this name": {max: 10, want: 3, waiting: 3}, // without retries it is a function like any other
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := &v1alpha1.GearmanWorkerPool{Spec: v1alpha1.GearmanWorkerPoolSpec{
				Servers: []v1alpha1.ServerAddress{"s:1"}, Function: "f", MaxReplicas: tt.max, Scaling: tt.scaling,
				Runtime: &v1alpha1.RuntimeSpec{},
			}}
			if tt.retry {
				pool.Spec.Runtime.Retry = &v1alpha1.RetrySpec{}
			} else {
				pool.Spec.Function, pool.Spec.Functions = "", []v1alpha1.FunctionName{"f", "f.retry"}
			}
			spec, err := NewSpec(pool)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"f", "f.retry"}, spec.Poll.Functions); diff != "" {
				t.Errorf("polled functions (-want +got):\n%s", diff)
			}
			p := &Pool{used: spec, state: scaling.NewState(scaling.Learnt{}, now)}
			p.verdicts.Answer("f.retry", backlog.Runnable, now)
			sample := backlog.Sample{
				Time:    now,
				Servers: []backlog.ServerSample{{Address: "s:1", State: backlog.StateOK, Fresh: true, LastGood: now}},
				Functions: []backlog.FunctionSample{
					{Name: "f"}, {Name: "f.retry", Total: tt.waiting, Queued: tt.waiting, LongestQueue: tt.waiting},
				},
			}
			p.Decide(sample, now, func(string) bool { return false })
			if got := p.view.Decision.Replicas; got != tt.want {
				t.Errorf("%d replicas, want %d: %s", got, tt.want, p.view.Decision.Message)
			}
			if tt.retry && p.view.Queued != 0 {
				t.Errorf("%d queued jobs, want none: a delayed attempt is no backlog", p.view.Queued)
			}
		})
	}
}
