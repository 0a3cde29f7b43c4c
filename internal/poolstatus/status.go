package poolstatus

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/outcome"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// Build returns the status that a pool should have: before, updated with the facts. before is not
// changed.
func Build(before *v1alpha1.GearmanWorkerPoolStatus, f *Facts) *v1alpha1.GearmanWorkerPoolStatus {
	status := before.DeepCopy()
	status.ObservedGeneration = f.Generation
	status.Functions, status.Mode = strings.Join(f.Functions, ","), f.Mode
	status.Replicas, status.ReadyReplicas, status.Selector = f.Workload.Current, f.Workload.Ready, f.Workload.Selector
	if !f.ScaledAt.IsZero() {
		status.LastScaleTime = new(metav1.NewTime(f.ScaledAt).Rfc3339Copy())
	}
	if f.RuntimeImage != "" {
		status.RuntimeImage = f.RuntimeImage
	}
	if !f.View.At.IsZero() {
		fillDecision(status, f)
	}
	status.Pods = fmt.Sprintf("%d/%d", status.ReadyReplicas, status.DesiredReplicas)
	setConditions(&status.Conditions, f)
	slices.SortFunc(status.Conditions, func(a, b metav1.Condition) int { return strings.Compare(a.Type, b.Type) })
	return status
}

// WorthWriting reports whether the status after differs enough from before; sinceWritten is the
// time since the last write. Figures alone wait until they are due.
func WorthWriting(before, after *v1alpha1.GearmanWorkerPoolStatus, f *Facts, sinceWritten time.Duration) bool {
	switch {
	case equality.Semantic.DeepEqual(before, after):
		return false
	case onlyFigures(before, after) && (sinceWritten < FiguresEvery || !FiguresIn(before).Moved(FiguresIn(after))):
		return false
	case !f.View.Polled() && f.Stall.Reason == "" && before.ObservedGeneration == f.Generation:
		// A new operator has no state of the job servers yet, and the last one's is better than
		// none.
		return false
	}
	return true
}

// onlyFigures reports whether two statuses differ only in figures that change all the time.
func onlyFigures(a, b *v1alpha1.GearmanWorkerPoolStatus) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	for _, s := range []*v1alpha1.GearmanWorkerPoolStatus{a, b} {
		s.Queue, s.LastHour, s.Decision.Terms, s.Measured = v1alpha1.QueueStatus{}, nil, nil, nil
	}
	return equality.Semantic.DeepEqual(a, b)
}

// The limits of the schema.
const (
	maxServers   = 256
	maxFunctions = 64
)

func fillDecision(status *v1alpha1.GearmanWorkerPoolStatus, f *Facts) {
	v := &f.View
	d := v.Decision
	status.DesiredReplicas = d.Replicas
	status.Queue = v1alpha1.QueueStatus{
		Queued: v.Queued, Running: v.Running,
		OldestWaitSeconds: int64(d.OldestWait.Seconds()), JobMilliseconds: d.JobTime.Milliseconds(),
	}
	if h := v.LastHour; v.JobsTotal != (outcome.Counts{}) {
		status.LastHour = &v1alpha1.OutcomeStatus{
			Completed: h.Completed, Failed: h.AllFailed(), DeadLettered: h.DeadLettered, Requeued: h.Requeued,
			Retried: h.Retried,
		}
		if v.Starts != nil {
			fillStarts(status.LastHour, v.Starts.LastHour)
		}
	}
	status.Servers = make([]v1alpha1.ServerStatus, 0, len(v.Sample.Servers))
	for i := range v.Sample.Servers {
		s := &v.Sample.Servers[i]
		status.Servers = append(
			status.Servers, v1alpha1.ServerStatus{Address: ServerName(s), State: string(s.Reported())},
		)
	}
	slices.SortFunc(
		status.Servers, func(a, b v1alpha1.ServerStatus) int { return strings.Compare(a.Address, b.Address) },
	)
	status.Servers = status.Servers[:min(len(status.Servers), maxServers)]
	status.Decision = v1alpha1.DecisionStatus{Reason: string(d.Reason), Message: d.Message, Terms: d.Terms.ByKey()}
	if v.Learnt.Boot > 0 || len(v.Learnt.JobTimes) > 0 {
		l := &v1alpha1.MeasuredStatus{BootMilliseconds: v.Learnt.Boot.Milliseconds()}
		for _, jt := range v.Learnt.JobTimes {
			if !slices.Contains(f.Functions, jt.Function) || len(l.Functions) == maxFunctions {
				continue // of an earlier spec
			}
			l.Functions = append(
				l.Functions, v1alpha1.MeasuredFunction{Name: jt.Function, JobMilliseconds: jt.Time.Milliseconds()},
			)
		}
		status.Measured = l
	}
}

// fillStarts rounds so that the bounds stay bounds.
func fillStarts(out *v1alpha1.OutcomeStatus, s outcome.Started) {
	out.Started, out.Late = int64(math.Round(s.Total())), int64(math.Round(s.Late))
	out.LateAtLeast = min(int64(math.Floor(s.LateMin)), out.Late)
	out.LateAtMost = min(max(int64(math.Ceil(s.LateMax)), out.Late), max(out.Started, out.Late))
}

// OldestWait reads back how long the oldest queued job had waited when the status was written.
func OldestWait(s *v1alpha1.GearmanWorkerPoolStatus) time.Duration {
	return time.Duration(max(0, s.Queue.OldestWaitSeconds)) * time.Second
}

// Learnt reads back what a status keeps for the next operator.
func Learnt(s *v1alpha1.GearmanWorkerPoolStatus) scaling.Learnt {
	if s.Measured == nil {
		return scaling.Learnt{}
	}
	out := scaling.Learnt{Boot: time.Duration(s.Measured.BootMilliseconds) * time.Millisecond}
	for _, f := range s.Measured.Functions {
		out.JobTimes = append(
			out.JobTimes, scaling.JobTime{Function: f.Name, Time: time.Duration(f.JobMilliseconds) * time.Millisecond},
		)
	}
	return out
}
