package autoscaler

import (
	"strconv"
	"strings"
	"time"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// TargetPods is what was last read of a target's pods.
type TargetPods struct {
	Version string // of the target
	At      time.Time
	Moving  bool // some of them start or end
	Pods    []workload.Pod
}

// KindOf is how the pods of a pool's workload are removed.
func KindOf(s *v1alpha1.GearmanWorkerPoolSpec) scaling.WorkloadKind {
	switch {
	case s.TargetRef == nil:
		return scaling.KindOwned
	case s.TargetRef.Kind == "StatefulSet":
		return scaling.KindTargetStatefulSet
	}
	return scaling.KindTargetDeployment
}

// ordinal is the number at the end of the name of a StatefulSet's pod, or the default otherwise.
func ordinal(name string, otherwise int) int {
	n, err := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:])
	if err != nil {
		return otherwise
	}
	return n
}
