package autoscaler

import (
	"math"
	"net/netip"
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
			{Name: "f", Counters: telemetry.Counters{OK: ok, Failed: failed}},
			{Name: "g", Counters: telemetry.Counters{Requeued: 3, Retried: 2}},
		}
	}
	p := &Pool{}
	p.recordOutcomes([]backlog.FunctionSample{{Name: "f"}}, law, now)
	if p.outcomes != nil || p.view.JobsTotal != (outcome.Counts{}) || p.view.TargetWait != 30*time.Second {
		t.Errorf("without a job: %+v, %+v", p.outcomes, p.view)
	}
	p.recordOutcomes(functions(3, 0), law, now)
	want := outcome.Counts{Completed: 3, Requeued: 1, Retried: 2}
	if diff := cmp.Diff(want, p.view.LastHour); diff != "" || p.view.Failing {
		t.Errorf("the first jobs count (failing %v; -want +got):\n%s", p.view.Failing, diff)
	}
	p.recordOutcomes(functions(3, 9), law, now.Add(time.Second))
	want.Failed = 9
	if diff := cmp.Diff(want, p.view.JobsTotal); diff != "" || !p.view.Failing {
		t.Errorf("nine of twelve failed (failing %v; -want +got):\n%s", p.view.Failing, diff)
	}
	byFunction := []outcome.FunctionCounts{
		{Function: "f", Counts: outcome.Counts{Completed: 3, Failed: 9}},
		{Function: "g", Counts: outcome.Counts{Requeued: 1, Retried: 2}},
	}
	if diff := cmp.Diff(byFunction, p.view.Functions); diff != "" {
		t.Errorf("by function (-want +got):\n%s", diff)
	}
}

// TestRecordWaits: starts are followed from the first queued job on, and shown once telemetry has
// counted a job.
func TestRecordWaits(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 0)
	server := netip.MustParseAddrPort("192.0.2.1:4730")
	law := &scaling.Policy{TargetWait: 10 * time.Second}
	p := &Pool{state: scaling.NewState(scaling.Learnt{}, at)}
	p.SetOldestWait(time.Hour)
	// step decides on what a job server and telemetry report.
	step := func(total, running, ended int64) {
		last := p.view
		at = at.Add(time.Second)
		p.view = poolstatus.View{At: at}
		s := backlog.Sample{
			Functions: []backlog.FunctionSample{{Name: "f", Counters: telemetry.Counters{OK: ended}}},
			Queues:    []backlog.QueueSample{{Function: "f", Server: server, AsOf: at, Total: total, Running: running}},
		}
		p.recordOutcomes(s.Functions, law, at)
		p.recordWaits(&s, []scaling.FunctionSample{{Name: "f", Busy: running}}, &last)
	}
	for range 100 {
		step(0, 0, 0)
	}
	if p.waits != nil {
		t.Error("an idle pool needs no memory for waits")
	}
	for range 20 {
		step(8, 0, 0) // they arrived a second ago, whatever the status was when the operator started
	}
	step(8, 4, 0)
	if p.waits == nil || p.view.Starts != nil {
		t.Errorf("before telemetry has counted a job: %+v", p.view.Starts)
	}
	step(4, 4, 4)
	step(0, 0, 8)
	got := p.view.Starts
	if got == nil || got.Total.Total() != 8 || got.Total.Late != 8 || got.LastHour != got.Total {
		t.Errorf("eight jobs waited for 20 s or more: %+v", got)
	}
	for range 2 * 3600 {
		step(0, 0, 8)
	}
	if got := p.view.Starts; got == nil || got.LastHour.Total() != 0 || got.Total.Late != 8 {
		t.Errorf("two hours later: %+v", got)
	}
	q := &Pool{}
	q.view = poolstatus.View{At: at}
	q.recordWaits(
		&backlog.Sample{Queues: []backlog.QueueSample{{Function: "f", Server: server, AsOf: at, Total: 1}}}, nil, &q.view,
	)
	if q.waits != nil {
		t.Error("a pool without a target wait has no late jobs")
	}
}

// TestFirstJobs: the first jobs of a pool count, even if they ended before any poll saw one, if the
// previous poll saw empty queues. Without that poll the previous operator may have counted them.
func TestFirstJobs(t *testing.T) {
	t.Parallel()
	server := netip.MustParseAddrPort("192.0.2.1:4730")
	answers := []backlog.ServerSample{{Resolved: server, LastGood: time.Unix(1_700_000_000, 0)}}
	type look struct{ total, running, ended int64 }
	tests := map[string]struct {
		polled bool // before the first job
		target time.Duration
		looks  []look
		want   float64
	}{
		"they ended before a poll saw them": {
			polled: true, target: 10 * time.Second, looks: []look{{ended: 3}, {ended: 5}}, want: 5,
		},
		"a poll saw one of them run": {
			polled: true, target: 10 * time.Second, looks: []look{{1, 1, 3}, {0, 0, 4}}, want: 4,
		},
		"no poll before": {target: 10 * time.Second, looks: []look{{ended: 3}, {ended: 5}}, want: 2},
		"nothing was followed before, without a target wait": {
			polled: true, looks: []look{{1, 1, 3}, {0, 0, 4}}, want: 0,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := answers[0].LastGood
			p := &Pool{state: scaling.NewState(scaling.Learnt{}, at.Add(-time.Hour))}
			p.view = poolstatus.View{At: at, TargetWait: tt.target}
			if tt.polled {
				p.view.Sample.Servers = answers
			}
			looks := tt.looks
			for range 5 { // long enough that no job server can still show an end that telemetry has counted
				looks = append(looks, tt.looks[len(tt.looks)-1])
			}
			for _, l := range looks {
				last := p.view
				at = at.Add(time.Second)
				p.view = poolstatus.View{At: at}
				s := backlog.Sample{
					Functions: []backlog.FunctionSample{{Name: "f", Counters: telemetry.Counters{OK: l.ended}}},
					Servers:   []backlog.ServerSample{{Resolved: server, LastGood: at}},
					Queues: []backlog.QueueSample{
						{Function: "f", Server: server, AsOf: at, Total: l.total, Running: l.running},
					},
				}
				p.recordOutcomes(s.Functions, &scaling.Policy{TargetWait: 10 * time.Second}, at)
				p.recordWaits(&s, []scaling.FunctionSample{{Name: "f", Busy: l.running}}, &last)
			}
			got := 0.
			if s := p.view.Starts; s != nil {
				got = s.Total.InTime
			}
			if math.Abs(got-tt.want) > 1e-6 {
				t.Errorf("%v jobs started in time, want %v", got, tt.want)
			}
		})
	}
}

// TestSetOldestWait: only a new operator uses the queue in the status.
func TestSetOldestWait(t *testing.T) {
	t.Parallel()
	p := &Pool{}
	p.SetOldestWait(time.Minute)
	p.used = &Spec{}
	p.SetOldestWait(time.Hour)
	if p.oldest != time.Minute {
		t.Errorf("oldest %v, want 1m", p.oldest)
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
		{40 * time.Second, 0, false}, // jobsPerReplica alone has no target wait
	} {
		p.view = poolstatus.View{Learnt: scaling.Learnt{Boot: step.boot}}
		p.recordOutcomes(nil, &scaling.Policy{TargetWait: step.target}, time.Unix(1_700_000_000, 0))
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
