package autoscaler

import (
	"time"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
	"github.com/gearman-operator/gearman-operator/internal/sampling"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// clearMarksAfter is how often a pool that wants no fewer replicas is reconciled while pods of it
// are still marked.
const clearMarksAfter = time.Minute

// Plan is what to write now: the deletion costs, and then the replicas, whether the costs could be
// written or not.
type Plan struct {
	Costs    []PodCost
	Replicas int32
	// Removal and Order say why the replicas differ from the decision's.
	Removal scaling.Removal
	Order   scaling.Order
}

// PodCost is a pod's new deletion cost; 0 means none.
type PodCost struct {
	Pod  string
	Cost int32
}

// evidence is what a decision was based on.
type evidence struct {
	complete       bool // every job server answered
	answer, newest time.Time
	running        int64 // jobs
	unexplained    int64 // running jobs that no pod's telemetry explains
}

// evidenceOf extracts the evidence from a sample.
func evidenceOf(in *scaling.Sample, sample *backlog.Sample) evidence {
	e := evidence{
		complete: !in.Partial && in.NoAnswer == 0 && sampling.Answered(sample), newest: sampling.NewestAnswer(sample),
	}
	for i := range in.Functions {
		f := &in.Functions[i]
		e.running += f.Running
		e.unexplained += max(0, f.Running-f.Busy-f.Draining)
	}
	for i := range sample.Servers {
		if s := &sample.Servers[i]; s.Fresh && (e.answer.IsZero() || s.LastGood.Before(e.answer)) {
			e.answer = s.LastGood
		}
	}
	return e
}

// PlanReplicas returns how far the replicas and the deletion costs follow a decision now: as many
// more replicas as help, as many fewer as can be removed. What it returns must be written.
func (p *Pool) PlanReplicas(
	w *workload.State, pods []workload.Pod, kind scaling.WorkloadKind, v *poolstatus.View, now time.Time,
) Plan {
	if p.cacheBehind(w) {
		return Plan{Replicas: w.Replicas} // its event will follow
	}
	e := &p.evidence
	facts := scaling.Facts{
		Now: now, Kind: kind, Replicas: w.Replicas,
		Complete: e.complete && e.answer.After(p.fewerAt) && !cacheLacks(w, pods),
		Answer:   e.answer, Newest: e.newest, Running: e.running, Unexplained: e.unexplained,
		Template: w.Inputs + w.RuntimeImage, Refused: w.Failure != "", Pods: rulePods(pods, &v.Sample),
	}
	var law scaling.Policy
	if p.used != nil {
		law = p.used.Policy.At(v.At)
	}
	before := scaling.PlanState{}
	if p.plans != nil {
		before = *p.plans
	}
	plan, after := scaling.PlanPods(&law, &v.Decision, &facts, before)
	p.plans, p.plannedAt = nil, now
	if !after.Idle(&facts) || plan.Replicas > 0 {
		p.plans = &after
	}
	out := Plan{Replicas: plan.Replicas, Removal: plan.Removal, Order: plan.Order}
	for _, c := range plan.Patches {
		for i := range pods {
			if pods[i].UID == c.UID {
				out.Costs = append(out.Costs, PodCost{pods[i].Name, c.Cost})
			}
		}
	}
	return out
}

// cacheLacks reports whether there are pods that the cache does not show yet: a removal could not
// take them into account.
func cacheLacks(w *workload.State, pods []workload.Pod) bool {
	live := int32(0)
	for i := range pods {
		if !pods[i].Terminating && !pods[i].Marks.Unowned {
			live++
		}
	}
	return live < min(w.Current, w.Replicas)
}

// rulePods converts the pods for the rules.
func rulePods(pods []workload.Pod, sample *backlog.Sample) []scaling.Pod {
	samples := make(map[string]*backlog.PodSample, len(sample.Pods))
	for i := range sample.Pods {
		samples[sample.Pods[i].UID] = &sample.Pods[i]
	}
	out := make([]scaling.Pod, len(pods))
	for i := range pods {
		p := &pods[i]
		q := scaling.Pod{
			UID: p.UID, Owned: !p.Marks.Unowned, Terminating: p.Terminating, Assigned: !p.Marks.Unassigned,
			Phase: phaseOf(p),
			Ready: p.Ready, WasReady: p.Ready || p.Marks.WasReady, ReadySince: p.ReadySince,
			Stopped: p.Marks.Stopped && !p.Ready, Created: p.Created,
			Ordinal: int32(ordinal(p.Name, i)), Cost: p.Cost, Trouble: ruleTrouble(p),
		}
		if t := samples[p.UID]; t != nil {
			q.Heard, q.Busy, q.BusySince = t.LastSeen, int32(t.Busy), t.BusySince
			q.Trouble = reportedTrouble(t, q.Trouble)
		}
		out[i] = q
	}
	return out
}

// reportedTrouble is the trouble that a pod's worker reports, or else what Kubernetes reports.
func reportedTrouble(t *backlog.PodSample, otherwise scaling.Trouble) scaling.Trouble {
	switch {
	case !t.TakesNoJobs():
		return otherwise
	case t.Unreachable():
		return scaling.TroubleUnreachable
	}
	return scaling.TroubleTakesNoJobs
}

func phaseOf(p *workload.Pod) scaling.Phase {
	switch {
	case p.Pending:
		return scaling.PhasePending
	case p.Unreported:
		return scaling.PhaseUnknown
	}
	return scaling.PhaseRunning
}

func ruleTrouble(p *workload.Pod) scaling.Trouble {
	switch {
	case p.Marks.Gated:
		return scaling.TroubleGated
	case p.Trouble == workload.TroubleScheduling:
		return scaling.TroubleUnschedulable
	case p.Trouble != "":
		return scaling.TroubleFailing
	}
	return scaling.TroubleNone
}

// marksToClear reports whether unneeded marks may have to be removed.
func (p *Pool) marksToClear(now time.Time) bool {
	return p.plans != nil && len(p.plans.Removal.Costs) > 0 && now.Sub(p.plannedAt) >= clearMarksAfter
}
