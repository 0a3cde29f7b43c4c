package scaling

import "time"

// Facts are the state of a pool's workload and pods when a decision is applied.
type Facts struct {
	Now      time.Time
	Kind     WorkloadKind
	Replicas int32
	// Complete: every job server answered. Answer is the oldest of their newest answers, Newest the
	// newest; Unexplained is how many running jobs no pod's telemetry explains.
	Complete       bool
	Answer, Newest time.Time
	Unexplained    int64
	Running        int64 // jobs, as the job servers count them
	// Template is a hash of the pod template; Refused: the API server refuses pods.
	Template string
	Refused  bool
	Pods     []Pod
}

// PlanState is the state of the rules about a pool's pods.
type PlanState struct {
	Removal  RemovalState
	Ordering OrderingState
}

// Idle reports whether the state can be dropped: there are no pods, and none were ordered since the
// last poll.
func (s *PlanState) Idle(f *Facts) bool {
	return f.Replicas == 0 && len(f.Pods) == 0 && f.Newest.After(s.Ordering.RaisedBy)
}

// Plan is what to write: the patches, and then, whether they succeed or not, the replicas.
type Plan struct {
	Replicas int32
	Patches  []Patch
	Order    Order
	Removal  Removal
}

// PlanPods turns a decision into what to write: as many more replicas as help, as many fewer as can
// be removed. It takes over the given state.
func PlanPods(p *Policy, d *Decision, f *Facts, s PlanState) (Plan, PlanState) {
	q := p.withDefaults()
	var out Plan
	out.Order, s.Ordering = OrderReplicas(&OrderingInput{
		Now: f.Now, Replicas: f.Replicas, Want: d.Replicas, Floor: d.Floor, Maximum: q.MaxReplicas,
		Template: f.Template,
		Start:    d.Start, Answer: f.Newest, Refused: f.Refused, Pods: f.Pods,
	}, s.Ordering)
	want := out.Order.Replicas
	out.Removal, s.Removal = Remove(&RemovalInput{
		Now: f.Now, Poll: q.Tick, Kind: f.Kind, Replicas: f.Replicas, Want: want, Ceiling: max(d.Ceiling, want),
		Complete: f.Complete && d.Held == "", Answer: f.Answer, Running: f.Running, Unexplained: f.Unexplained,
		Graceful: q.ScaleDown == ScaleDownGraceful, Drains: d.Drains, Pods: f.Pods,
	}, s.Removal)
	out.Replicas, out.Patches = max(want, out.Removal.Replicas), out.Removal.Patches
	if want < f.Replicas {
		out.Replicas = out.Removal.Replicas
	}
	return out, s
}
