package poolstatus

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// Stall is what keeps a pool, or its new spec, from working until a user changes something; the
// zero value is no stall.
type Stall struct {
	Reason, Message string
	// KeepsRunning: the pool is scaled nevertheless, by its last valid spec.
	KeepsRunning bool
}

// Facts is the input of a pool's status.
type Facts struct {
	Generation int64
	Functions  []string
	Mode       v1alpha1.ScalingMode
	Workload   workload.State
	RollingOut bool

	RuntimeImage string    // of the Deployment's template; empty: unknown, or none
	ScaledAt     time.Time // when this operator last changed replicas
	View         View      // the zero value if the pool is stalled

	Stall     Stall
	Retrying  string           // the error with which reconciles keep failing
	Trouble   workload.Trouble // of a pod that can't start
	NoWorker  bool             // and no other pod is ready
	Contested bool
	Removal   scaling.Removal // why surplus pods stay
	HeldBack  bool            // fewer replicas are ordered than wanted, since the last ones can't start
	IsTarget  bool            // the pods are those of a target
	Unowned   bool            // pods carry the pool's labels that its workload does not control
	Sidecars  []string        // containers that stop before the worker's last jobs have ended
	Shared    []string        // other pools that serve one of this pool's functions
}

// FixedAfter is how long a pod must have been ready before it counts as fixed, since a crashing
// container is ready between crashes.
const FixedAfter = 30 * time.Second

// StartTrouble returns what to report of pods that can't start: the trouble of one, and whether
// that leaves no worker at all. If the pool's conditions report the latter already, it is reported
// until a pod has been ready for a while; last is the trouble that was reported.
func StartTrouble(
	pods []workload.Pod, conditions []metav1.Condition, last workload.Trouble, now time.Time,
) (t workload.Trouble, none bool) {
	live := slices.DeleteFunc(slices.Clone(pods), func(p workload.Pod) bool { return p.Terminating })
	if t = workload.WorstTrouble(live); t != "" {
		return t, !slices.ContainsFunc(live, func(p workload.Pod) bool { return p.Ready })
	}
	c := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	if c == nil || c.Reason != ReasonPodsNotStarting || len(live) == 0 {
		return "", false
	}
	if slices.ContainsFunc(live, func(p workload.Pod) bool { return p.Ready && now.Sub(p.ReadySince) >= FixedAfter }) {
		return "", false
	}
	if last == "" {
		last = workload.TroubleUnknown
	}
	return last, true
}

// SharedNames returns the names of the pools that a pool shares a function with, as far as its
// namespace may know them.
func SharedNames(names []string, elsewhere bool) []string {
	if elsewhere {
		return append(names, "pools of other namespaces")
	}
	return names
}
