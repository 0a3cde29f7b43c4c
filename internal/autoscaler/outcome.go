package autoscaler

import (
	"net/netip"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/diagnosis"
	"github.com/gearman-operator/gearman-operator/internal/outcome"
	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
	"github.com/gearman-operator/gearman-operator/internal/sampling"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// slowStartEnds is the part of the target wait below which the start time must fall before
// TargetBelowStartTime ends. The gap keeps the condition from flapping while the measured start
// time moves.
const slowStartEnds = 0.8

// startupWaits is how long after its start a new operator may find queues whose age only the status
// has.
const startupWaits = time.Minute

// recordOutcomes adds to the view how jobs ended since the last sample, and whether pods start in
// time.
func (p *Pool) recordOutcomes(functions []backlog.FunctionSample, law *scaling.Policy, now time.Time) {
	v := &p.view
	v.TargetWait = law.TargetWait
	start, target := v.Learnt.Boot.Seconds(), law.TargetWait.Seconds()
	p.slowStart = target > 0 && (start > target || p.slowStart && start > slowStartEnds*target)
	v.SlowStart = p.slowStart

	counters, counted := sampling.Outcomes(functions)
	if p.outcomes == nil {
		if !counted {
			return // most pools of a large cluster are idle and need no memory for this
		}
		// The counters start with the subscription, so all that they count is new.
		p.outcomes = &outcome.Window{}
	}
	p.outcomes.ObserveFunctions(now, counters)
	v.LastHour, v.JobsTotal, v.Failing = p.outcomes.LastHour(), p.outcomes.Total(), p.outcomes.Failing()
	v.Functions = p.outcomes.Functions()
}

// recordWaits adds to the view how many jobs started in time and how many late. last is the view of
// the previous decision.
func (p *Pool) recordWaits(sample *backlog.Sample, law []scaling.FunctionSample, last *poolstatus.View) {
	v := &p.view
	if p.waits == nil {
		if v.TargetWait <= 0 || !hasJobs(sample) {
			return // nothing to follow yet
		}
		p.waits = &outcome.Waits{}
		if p.state.Age(v.At) > startupWaits {
			p.oldest = v.At.Sub(last.At) // all queues were empty then
		}
		if last.TargetWait > 0 && sampling.Answered(&last.Sample) {
			p.waits.Observe(last.At, last.TargetWait, p.oldest, emptyQueues(sample, last.Sample.Servers))
		}
	}
	p.waits.Observe(v.At, v.TargetWait, p.oldest, p.functionQueues(sample, law))
	if p.outcomes == nil {
		return // without telemetry the estimate is useless
	}
	p.outcomes.ObserveStarted(v.At, p.waits.Started())
	if total := p.outcomes.StartedTotal(); total != (outcome.Started{}) {
		v.Starts = &poolstatus.Starts{LastHour: p.outcomes.StartedLastHour(), Total: total}
	}
}

// hasJobs reports whether a job server has a job of the pool, or a job has ended since its
// subscription.
func hasJobs(sample *backlog.Sample) bool {
	return slices.ContainsFunc(sample.Queues, func(q backlog.QueueSample) bool { return q.Total > 0 }) ||
		slices.ContainsFunc(sample.Functions, func(f backlog.FunctionSample) bool { return f.Counters.Ended() > 0 })
}

// emptyQueues are the queues of a sample as they were in the previous sample, in which no job
// server had a job: jobs that are there now arrived and started between the two.
func emptyQueues(sample *backlog.Sample, servers []backlog.ServerSample) []outcome.FunctionQueues {
	asOf := make(map[netip.AddrPort]time.Time, len(servers))
	for i := range servers {
		if s := &servers[i]; !s.LastGood.IsZero() && !s.LeftOut {
			asOf[s.Resolved] = s.LastGood
		}
	}
	out := make([]outcome.FunctionQueues, len(sample.Functions))
	byName := make(map[string]*outcome.FunctionQueues, len(out))
	for i := range out {
		out[i].Name = sample.Functions[i].Name
		byName[out[i].Name] = &out[i]
	}
	for i := range sample.Queues {
		q := &sample.Queues[i]
		if at, f := asOf[q.Server], byName[q.Function]; f != nil && !at.IsZero() {
			f.Queues = append(f.Queues, outcome.Queue{Server: q.Server, AsOf: at, LostAt: q.LostAt})
		}
	}
	return out
}

// functionQueues groups the queues of a sample by function. There may be thousands of them, and
// each is visited once.
func (p *Pool) functionQueues(sample *backlog.Sample, law []scaling.FunctionSample) []outcome.FunctionQueues {
	out := make([]outcome.FunctionQueues, len(sample.Functions))
	byName := make(map[string]*outcome.FunctionQueues, len(sample.Functions))
	for i := range sample.Functions {
		f := &sample.Functions[i]
		out[i] = outcome.FunctionQueues{Name: f.Name, Ended: f.Counters.Ended()}
		out[i].Stuck, out[i].JobSeconds = p.state.Waiting(f.Name)
		byName[f.Name] = &out[i]
	}
	for i := range law {
		if q := byName[law[i].Name]; q != nil {
			q.Busy = float64(law[i].Busy + law[i].Draining)
		}
	}
	for i := range sample.Queues {
		s := &sample.Queues[i]
		if q := byName[s.Function]; q != nil {
			q.Queues = append(q.Queues, outcome.Queue{
				Server: s.Server, AsOf: s.AsOf, Total: s.Total, Running: s.Running, LostAt: s.LostAt,
			})
		}
	}
	return out
}

// Condition is a condition of the pool's status, as metrics report it.
type Condition struct{ Type, Status, Reason string }

// SetConditions records the conditions of the pool's status for the metrics: Ready, and those that
// report a problem. A healthy pool has one series.
func (p *Pool) SetConditions(all []metav1.Condition) {
	p.conditions = p.conditions[:0]
	for i := range all {
		if c := &all[i]; c.Type == v1alpha1.ConditionReady || diagnosis.Unhealthy(c) {
			p.conditions = append(p.conditions, Condition{c.Type, string(c.Status), c.Reason})
		}
	}
}
