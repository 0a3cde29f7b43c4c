package poolstatus

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/outcome"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

func someFacts() *Facts {
	at := time.Unix(1_700_000_000, 0)
	sample := backlog.Sample{
		Servers: []backlog.ServerSample{
			{Address: "b:1", State: backlog.StateTimedOut}, {Address: "a:1", State: backlog.StateOK},
		},
		Functions: []backlog.FunctionSample{{Name: "f", Queued: 7, Running: 3}, {Name: "g", Queued: 1, Running: -1}},
	}
	decision := scaling.Decision{
		Replicas: 4, Reason: scaling.ReasonIdle, Message: "m", OldestWait: 90 * time.Second,
		JobTime: 250 * time.Millisecond,
		Terms:   scaling.Terms{Load: 1.5, Boot: 2},
	}
	learnt := scaling.Learnt{Boot: 7 * time.Second, JobTimes: []scaling.JobTime{{Function: "f", Time: time.Second}}}
	return &Facts{
		Generation: 3, Functions: []string{"f", "g"}, Mode: v1alpha1.ModeAuto, ScaledAt: at.Add(time.Millisecond),
		Workload: workload.State{Current: 5, Ready: 4, Selector: "s=1"},
		View:     NewView(at, decision, scaling.Policy{MinReplicas: 1, MaxReplicas: 9}, sample, learnt),
	}
}

// TestBuild: the status shows all facts, lists are sorted, and the inputs are not changed.
func TestBuild(t *testing.T) {
	t.Parallel()
	before := &v1alpha1.GearmanWorkerPoolStatus{Replicas: 1}
	f := someFacts()
	got := Build(before, f)
	if before.Replicas != 1 || before.Conditions != nil {
		t.Errorf("the status before was changed: %+v", before)
	}
	if !slices.IsSortedFunc(
		got.Conditions, func(a, b metav1.Condition) int { return strings.Compare(a.Type, b.Type) },
	) || len(got.Conditions) != 17 {
		t.Errorf("conditions: %+v", got.Conditions)
	}
	terms := got.Decision.Terms
	if terms["loadMilliSlots"] != 1500 {
		t.Errorf("terms: %v", terms)
	}
	if old := OldestWait(got); old != 90*time.Second {
		t.Errorf("the oldest wait that the next operator reads back: %v", old)
	}
	got.Conditions, got.Decision.Terms = nil, nil
	want := &v1alpha1.GearmanWorkerPoolStatus{
		ObservedGeneration: 3, Functions: "f,g", Mode: v1alpha1.ModeAuto, Pods: "4/4", Replicas: 5, ReadyReplicas: 4,
		Selector: "s=1", DesiredReplicas: 4,
		LastScaleTime: new(metav1.NewTime(time.Unix(1_700_000_000, 0)).Rfc3339Copy()),
		Queue:         v1alpha1.QueueStatus{Queued: 8, Running: 3, OldestWaitSeconds: 90, JobMilliseconds: 250},
		Servers:       []v1alpha1.ServerStatus{{Address: "a:1", State: "OK"}, {Address: "b:1", State: "TimedOut"}},
		Decision:      v1alpha1.DecisionStatus{Reason: string(scaling.ReasonIdle), Message: "m"},
		Measured: &v1alpha1.MeasuredStatus{
			BootMilliseconds: 7000, Functions: []v1alpha1.MeasuredFunction{{Name: "f", JobMilliseconds: 1000}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(f.View.Learnt, Learnt(got)); diff != "" {
		t.Errorf("what the next operator reads back: %s", diff)
	}
	if diff := cmp.Diff(scaling.Learnt{}, Learnt(before)); diff != "" {
		t.Errorf("nothing to read back: %s", diff)
	}
	if got := Build(got, &Facts{Stall: Stall{Reason: ReasonInvalidTLS, Message: "m"}}); got.DesiredReplicas != 4 ||
		got.Measured == nil {
		t.Errorf("a pool that stalls loses what was decided and learnt: %+v", got)
	}
}

// TestLastHour: the bounds of late jobs stay bounds when they are rounded.
func TestLastHour(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		started outcome.Started
		want    v1alpha1.OutcomeStatus
	}{
		"outwards": {
			outcome.Started{InTime: 90.4, Late: 10.1, LateMin: 8.9, LateMax: 12.1},
			v1alpha1.OutcomeStatus{Started: 101, Late: 10, LateAtLeast: 8, LateAtMost: 13},
		},
		"no more than started": {
			outcome.Started{InTime: 0.2, Late: 9.7, LateMin: 9.7, LateMax: 9.9},
			v1alpha1.OutcomeStatus{Started: 10, Late: 10, LateAtLeast: 9, LateAtMost: 10},
		},
		"none": {outcome.Started{InTime: 7}, v1alpha1.OutcomeStatus{Started: 7}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := someFacts()
			f.View.JobsTotal, f.View.Starts = outcome.Counts{Completed: 1}, &Starts{LastHour: tt.started}
			got := Build(&v1alpha1.GearmanWorkerPoolStatus{}, f)
			if diff := cmp.Diff(&tt.want, got.LastHour); diff != "" {
				t.Errorf("last hour (-want +got):\n%s", diff)
			}
			if FiguresOf(&f.View) != FiguresIn(got) {
				t.Errorf("figures of the view %+v, of the status %+v", FiguresOf(&f.View), FiguresIn(got))
			}
		})
	}
}

// TestLastHourCounts: a job that went to the dead letter function has failed.
func TestLastHourCounts(t *testing.T) {
	t.Parallel()
	f := someFacts()
	f.View.JobsTotal = outcome.Counts{Completed: 1}
	f.View.LastHour = outcome.Counts{Completed: 5, Failed: 2, DeadLettered: 3, Requeued: 4, Retried: 6}
	got := Build(&v1alpha1.GearmanWorkerPoolStatus{}, f)
	want := &v1alpha1.OutcomeStatus{Completed: 5, Failed: 5, DeadLettered: 3, Requeued: 4, Retried: 6}
	if diff := cmp.Diff(want, got.LastHour); diff != "" {
		t.Errorf("last hour (-want +got):\n%s", diff)
	}
	if FiguresOf(&f.View) != FiguresIn(got) {
		t.Errorf("figures of the view %+v, of the status %+v", FiguresOf(&f.View), FiguresIn(got))
	}
}

// TestStatusFitsTheSchema: lists are cut to the API server's limits, and what was learnt of removed
// functions is left out.
func TestStatusFitsTheSchema(t *testing.T) {
	t.Parallel()
	f := someFacts()
	f.View.Learnt.JobTimes = append(f.View.Learnt.JobTimes, scaling.JobTime{Function: "gone", Time: time.Second})
	if got := Build(&v1alpha1.GearmanWorkerPoolStatus{}, f).Measured.Functions; len(got) != 1 || got[0].Name != "f" {
		t.Errorf("measured: %+v", got)
	}
	f.Functions, f.View.Learnt.JobTimes, f.View.Sample.Servers = nil, nil, nil
	for i := range 300 {
		name := "f" + strconv.Itoa(i)
		f.Functions = append(f.Functions, name)
		f.View.Learnt.JobTimes = append(f.View.Learnt.JobTimes, scaling.JobTime{Function: name, Time: time.Second})
		f.View.Sample.Servers = append(
			f.View.Sample.Servers, backlog.ServerSample{Address: name + ":1", State: backlog.StateTimedOut},
		)
		f.Shared = append(f.Shared, strings.Repeat("n", 200)+name)
	}
	f.Stall = Stall{Reason: ReasonInvalidPodTemplate, Message: strings.Repeat("é", maxMessage)}
	got := Build(&v1alpha1.GearmanWorkerPoolStatus{}, f)
	if len(got.Measured.Functions) != maxFunctions || len(got.Servers) != maxServers {
		t.Errorf("%d functions, %d job servers", len(got.Measured.Functions), len(got.Servers))
	}
	for _, c := range got.Conditions {
		if len(c.Message) > maxMessage || !utf8.ValidString(c.Message) {
			t.Errorf("the message of %s has %d bytes", c.Type, len(c.Message))
		}
	}
}

func TestWorthWriting(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		mutate func(*Facts)
		since  time.Duration
		want   bool
	}{
		"nothing new":       {func(*Facts) {}, time.Hour, false},
		"figures, too soon": {func(f *Facts) { f.View.Queued = 99 }, FiguresEvery - 1, false},
		"figures":           {func(f *Facts) { f.View.Queued = 99 }, FiguresEvery, true},
		"figures, hardly": {
			func(f *Facts) { f.View.Decision.OldestWait++; f.View.Decision.Terms.Load = 3 }, time.Hour, false,
		},
		"ready replicas":       {func(f *Facts) { f.Workload.Ready++ }, 0, true},
		"nothing is known yet": {func(f *Facts) { f.View = View{} }, time.Hour, false},
		"nothing known, stalled": {
			func(f *Facts) { f.View, f.Stall = View{}, Stall{Reason: ReasonInvalidTLS, Message: "m"} }, 0, true,
		},
		"nothing known, new spec": {func(f *Facts) { f.View, f.Generation = View{}, 4 }, 0, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, f := Build(&v1alpha1.GearmanWorkerPoolStatus{}, someFacts()), someFacts()
			tt.mutate(f)
			if got := WorthWriting(before, Build(before, f), f, tt.since); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// TestNoFigureFlaps: a status does not depend on the present time, so that building it again gives
// the same.
func TestNoFigureFlaps(t *testing.T) {
	t.Parallel()
	first := Build(&v1alpha1.GearmanWorkerPoolStatus{}, someFacts())
	a, err := json.Marshal(first)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(Build(first, someFacts()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(a), string(b)); diff != "" {
		t.Error(diff)
	}
}
