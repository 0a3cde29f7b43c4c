package autoscaler

import (
	"slices"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

const (
	// victimCost is the deletion cost of the pods to remove first.
	victimCost = -1000
	// settle is how long the ReplicaSet controller is given to see new marks after we have seen them ourselves: its cache may lag behind ours.
	settle = 3 * time.Second
)

// Plan is what is to be written now of a workload's replicas and of its pods' deletion costs, the costs first.
type Plan struct {
	Costs    []PodCost
	Replicas int32
}

// PodCost is a pod's new deletion cost; 0 means none.
type PodCost struct {
	Pod  string
	Cost int32
}

// PlanReplicas says how to bring the workload's replicas to those of the view. Scaling up happens at once, and so does scaling to zero if every pod is to be removed.
// Other scale-down takes two rounds: the first marks the victims, the second, at a later tick, lowers replicas by at most the victims that are still the same.
// Of a target no pods are marked.
func (p *Pool) PlanReplicas(w *workload.State, pods []workload.Pod, isTarget bool, v *poolstatus.View) Plan {
	if p.cacheBehind(w) {
		return Plan{Replicas: w.Replicas} // its event is on the way
	}
	plan := Plan{Replicas: v.Decision.Replicas}
	if plan.Replicas < w.Replicas && !isTarget && w.Current > 0 && !allGo(w, pods, v) {
		n, costs := p.victimsReady(w, pods, v)
		switch {
		case n == 0:
			return Plan{Replicas: w.Replicas, Costs: costs}
		case !v.Decision.Forced:
			plan.Replicas = max(plan.Replicas, w.Replicas-n)
		}
	}
	if plan.Replicas == w.Replicas {
		for _, pod := range pods { // not about to scale down
			if pod.Cost != 0 && !pod.Terminating {
				plan.Costs = append(plan.Costs, PodCost{Pod: pod.Name})
			}
		}
	}
	return plan
}

// allGo reports whether a pool goes to zero and each of its pods is a victim, so that it doesn't matter which is removed first.
func allGo(w *workload.State, pods []workload.Pod, v *poolstatus.View) bool {
	if v.Decision.Replicas != 0 || int(max(w.Replicas, w.Current)) != len(v.Decision.Victims) {
		return false
	}
	for _, p := range pods {
		if !p.Terminating && (!slices.Contains(v.Decision.Victims, p.Name) || v.Busy(p.UID) > 0) {
			return false
		}
	}
	return true
}

// victimsReady returns the costs that mark the decision's victims as the first to remove and unmark all others, and by how many replicas may be
// lowered now: 0 in the round that writes marks.
func (p *Pool) victimsReady(w *workload.State, pods []workload.Pod, v *poolstatus.View) (lower int32, costs []PodCost) {
	victims := v.Decision.Victims
	if n := int(w.Replicas - v.Decision.Replicas); len(victims) > n {
		victims = victims[:n]
	}
	var live int32
	for _, pod := range pods {
		if pod.Terminating {
			continue
		}
		live++
		if !pod.Ready && v.Busy(pod.UID) > 0 {
			// The ReplicaSet controller takes unready pods before it looks at costs, and this one processes a job.
			return 0, costs
		}
		cost := int32(0)
		if slices.Contains(victims, pod.Name) {
			cost = victimCost
		}
		if pod.Cost != cost {
			costs = append(costs, PodCost{Pod: pod.Name, Cost: cost})
		}
	}
	m := p.scale
	switch {
	case m == nil:
		return 0, costs
	case len(costs) > 0:
		m.markedAt = time.Time{}
		return 0, costs
	case m.markedAt.IsZero():
		m.markedAt = v.At
	}
	if live > w.Replicas {
		return 0, nil // pods of an earlier round are still to be removed; if the same ones were counted again, others would be removed
	}
	// A later tick still wants the same, and the marks have been there for a while.
	if v.At.Sub(m.markedAt) < settle {
		return 0, nil
	}
	lower = int32(len(victims))
	if v.Decision.Forced {
		lower = max(lower, 1)
	}
	return lower, nil
}
