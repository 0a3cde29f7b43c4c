package autoscaler

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/diagnosis"
	"github.com/gearman-operator/gearman-operator/internal/outcome"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// slowStartEnds is the part of the target wait below which the start time must fall before TargetBelowStartTime ends. The
// gap keeps the condition from flapping while the measured start time moves.
const slowStartEnds = 0.8

// noteOutcomes adds to the view what became of jobs since the last sample, and whether pods start in time.
func (p *Pool) noteOutcomes(functions []backlog.FunctionSample, law *scaling.Policy, now time.Time) {
	v := &p.view
	v.TargetWait = law.TargetWait
	start, target := v.Learnt.Boot.Seconds(), law.TargetWait.Seconds()
	p.slowStart = target > 0 && (start > target || p.slowStart && start > slowStartEnds*target)
	v.SlowStart = p.slowStart

	var sum outcome.Counts
	for i := range functions {
		c := &functions[i].Counters
		sum = sum.Add(outcome.Counts{Completed: c.OK, Failed: c.Failed, Requeued: c.Requeued})
	}
	if p.outcomes == nil {
		if sum == (outcome.Counts{}) {
			return // most pools of a large cluster are idle; they need no memory for this
		}
		// The counters begin with the watch over the pool, so all that they show is new.
		p.outcomes = &outcome.Window{}
		p.outcomes.Observe(now, outcome.Counts{})
	}
	p.outcomes.Observe(now, sum)
	v.LastHour, v.JobsTotal, v.Failing = p.outcomes.LastHour(), p.outcomes.Total(), p.outcomes.Failing()
}

// Condition is a condition of the pool's status, as metrics report it.
type Condition struct{ Type, Status, Reason string }

// SetConditions notes the conditions of the pool's status for the metrics: Ready, and those that report a problem. A
// healthy pool has one series.
func (p *Pool) SetConditions(all []metav1.Condition) {
	p.conditions = p.conditions[:0]
	for i := range all {
		if c := &all[i]; c.Type == v1alpha1.ConditionReady || diagnosis.Unhealthy(c) {
			p.conditions = append(p.conditions, Condition{c.Type, string(c.Status), c.Reason})
		}
	}
}
