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

// Stall is what keeps a pool, or the spec that it was given, from working until somebody changes
// something; the zero value is no stall.
type Stall struct {
	Reason, Message string
	// GoesOn says that the pool is scaled nevertheless, by what could be used last.
	KeepsRunning bool
}

// Facts is all that a pool's status speaks of.
type Facts struct {
	Generation int64
	Functions  []string
	Mode       v1alpha1.ScalingMode
	Workload   workload.State
	RollingOut bool

	RuntimeImage string    // that the Deployment's template has; empty: not known, or none
	ScaledAt     time.Time // when this operator last changed replicas
	View         View      // the zero value if the pool is stalled

	Stall     Stall
	Retrying  string           // the error at which the operator fails again and again
	Trouble   workload.Trouble // of a pod that can't start
	NoWorker  bool             // and no other is ready
	Contested bool
	Removal   scaling.Removal // why the pods that are too many stay
	HeldBack  bool            // fewer replicas are ordered than wanted, since those ordered last can't start
	IsTarget  bool            // the pods are those of a target
	Unowned   bool            // pods carry the pool's labels that are not its workload's
	Sidecars  []string        // containers that stop before the worker's last jobs have ended
	Shared    []string        // other pools that serve one of this pool's functions
}

// Calm is how long a pod must have been ready before it counts as fixed, since a container that
// crashes is ready in between.
const Calm = 30 * time.Second

// StartTrouble is what to report of pods that can't start: the trouble of one, and whether that
// leaves no worker at all. If the pool's conditions report the latter already, it goes on until a
// pod has been ready for a while; last is the trouble that was reported.
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
	if slices.ContainsFunc(live, func(p workload.Pod) bool { return p.Ready && now.Sub(p.ReadySince) >= Calm }) {
		return "", false
	}
	if last == "" {
		last = workload.TroubleUnknown
	}
	return last, true
}

// SharedNames names the pools that a pool shares a function with, as far as its namespace may know.
func SharedNames(names []string, elsewhere bool) []string {
	if elsewhere {
		return append(names, "pools of other namespaces")
	}
	return names
}
