package autoscaler

import (
	"slices"
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

// targetRule is which pods of a target may be removed.
type targetRule uint8

const (
	noTarget      targetRule = iota
	targetTrusted            // any, as they are trusted to finish their jobs
	targetIdle               // none while any processes a job, since nobody knows which would be taken
	targetHighest            // those above the highest ordinal that processes a job
)

func targetRuleOf(s *v1alpha1.GearmanWorkerPoolSpec) targetRule {
	switch {
	case s.TargetRef == nil:
		return noTarget
	case s.Scaling != nil && s.Scaling.PodRemoval == v1alpha1.PodRemovalGraceful:
		return targetTrusted
	case s.TargetRef.Kind == "StatefulSet":
		return targetHighest
	}
	return targetIdle
}

// pin marks the pods of a target that must not be removed. Only the target's replicas are written, so that Kubernetes chooses: any pod of a Deployment, which is
// therefore scaled down only while none processes a job, and the highest ordinal of a StatefulSet, of which those above the highest busy one may be removed. With
// podRemoval: Graceful each pod is trusted to finish its jobs.
func pin(rule targetRule, pods []scaling.PodSample, functions []scaling.FunctionSample) {
	if rule == noTarget || rule == targetTrusted {
		return
	}
	running := slices.ContainsFunc(functions, func(fn scaling.FunctionSample) bool { return fn.Running > 0 })
	highest := -1
	for i := range pods {
		p := &pods[i]
		withoutTelemetry := p.Ready && !p.Telemetry
		if !p.Terminating && (p.Busy > 0 || withoutTelemetry && running) {
			highest = max(highest, ordinal(p.Name, i))
		}
	}
	for i := range pods {
		pods[i].Pinned = highest >= 0 && (rule == targetIdle || ordinal(pods[i].Name, i) <= highest)
	}
}

// ordinal is the number at the end of the name of a StatefulSet's pod; otherwise what is given.
func ordinal(name string, otherwise int) int {
	n, err := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:])
	if err != nil {
		return otherwise
	}
	return n
}
