package controllers

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// Reasons of conditions.
const (
	reasonAsExpected         = "AsExpected"
	reasonInvalidPodTemplate = "InvalidPodTemplate"
	reasonInvalidScaling     = "InvalidScaling"
	reasonInvalidTLS         = "InvalidTLS"
	reasonInvalidServers     = "InvalidServers"
	reasonNameTaken          = "NameTaken"
	reasonTargetNotFound     = "TargetNotFound"
	reasonTargetTaken        = "TargetTaken"
	reasonPodsRefused        = "PodsRefused"
	reasonPodsNotStarting    = "PodsNotStarting"
	reasonNamespaceEnds      = "NamespaceTerminating"
	reasonRollout            = "Rollout"
	reasonNotPolled          = "NotYetPolled"
	reasonAllAnswer          = "AllAnswer"
	reasonSomeSilent         = "SomeDoNotAnswer"
	reasonNoneAnswers        = "NoneAnswers"
	reasonLoadBalanced       = "LoadBalanced"
	reasonContested          = "Contested"
)

// stall is why a pool cannot work until somebody changes something; the zero value is no stall.
type stall struct{ reason, message string }

// facts is all that a pool's conditions speak of.
type facts struct {
	stall     stall
	rollout   bool
	trouble   trouble // of a pod that can't start
	noWorker  bool    // and no other is ready
	contested bool
	mode      v1alpha1.ScalingMode
	servers   []backlog.ServerSample
	polled    bool
	decision  scaling.Decision
	shared    []string // other pools that serve one of this pool's functions
}

// setConditions sets every condition that the operator owns. Messages hold no counts and no times, so that nothing flaps.
func setConditions(conditions *[]metav1.Condition, generation int64, f facts) {
	set := func(kind string, status metav1.ConditionStatus, reason, message string) {
		meta.SetStatusCondition(conditions, metav1.Condition{
			Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: generation,
		})
	}
	flag := func(kind string, on bool, reason, message string) {
		if on {
			set(kind, metav1.ConditionTrue, reason, message)
			return
		}
		set(kind, metav1.ConditionFalse, reasonAsExpected, "")
	}
	flag(v1alpha1.ConditionStalled, f.stall.reason != "", f.stall.reason, f.stall.message)
	flag(v1alpha1.ConditionReconciling, f.rollout, reasonRollout, "pods of an older template are being replaced")

	reachable, reason, message := reachability(f.servers, f.polled)
	set(v1alpha1.ConditionJobServersReachable, reachable, reason, message)

	switch {
	case f.stall.reason != "":
		set(v1alpha1.ConditionReady, metav1.ConditionFalse, f.stall.reason, f.stall.message)
	case reachable == metav1.ConditionUnknown:
		set(v1alpha1.ConditionReady, metav1.ConditionUnknown, reason, message)
	case reason == reasonNoneAnswers || reason == reasonLoadBalanced:
		set(v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
	case f.trouble != "" && (f.noWorker || f.rollout):
		set(v1alpha1.ConditionReady, metav1.ConditionFalse, reasonPodsNotStarting, notStarting+f.trouble.advice())
	case f.rollout:
		set(v1alpha1.ConditionReady, metav1.ConditionFalse, reasonRollout, "pods of an older template are being replaced")
	default:
		set(v1alpha1.ConditionReady, metav1.ConditionTrue, reasonAsExpected, "")
	}

	switch {
	case f.stall.reason != "":
		set(v1alpha1.ConditionScalingActive, metav1.ConditionFalse, f.stall.reason, f.stall.message)
	case f.contested:
		set(v1alpha1.ConditionScalingActive, metav1.ConditionFalse, reasonContested,
			"somebody else keeps changing the replicas: stop them, or set scaling.mode to Paused")
	case f.mode != v1alpha1.ModeAuto:
		set(v1alpha1.ConditionScalingActive, metav1.ConditionFalse, string(f.mode), "scaling.mode is "+string(f.mode))
	case reason == reasonNoneAnswers || reason == reasonNotPolled:
		set(v1alpha1.ConditionScalingActive, metav1.ConditionFalse, reason, message)
	default:
		set(v1alpha1.ConditionScalingActive, metav1.ConditionTrue, reasonAsExpected, "")
	}

	flag(v1alpha1.ConditionScalingLimited, f.decision.Limited != "", string(f.decision.Limited), limitMessage(f.decision.Limited))
	flag(v1alpha1.ConditionBacklogNotRunnable, f.decision.NotRunnable, "NotHandedOut",
		"jobs are queued that the job server gives to no free worker: they are delayed, were cancelled, or their clients left")
	flag(v1alpha1.ConditionBacklogNotProgressing, f.decision.NotProgressing, "NoJobEndsWell",
		"jobs run, but for long none has ended well: look at the workers' logs for a job that always fails")
	flag(v1alpha1.ConditionFunctionShared, len(f.shared) > 0, "SharedWithPools",
		"each of these pools sees the whole backlog of a function that they serve together, so they start more pods than needed: "+strings.Join(f.shared, ", "))
}

func limitMessage(l scaling.Limit) string {
	switch l {
	case scaling.LimitMinimum:
		return "fewer replicas would do, but minReplicas (or a schedule) is higher"
	case scaling.LimitMaximum:
		return "more replicas are needed, but maxReplicas (or a schedule) is lower"
	case scaling.LimitScaleUp:
		return "more replicas are needed, but scaling.behavior.scaleUp limits the step"
	case scaling.LimitScaleDown:
		return "fewer replicas would do, but scaling.behavior.scaleDown limits the step"
	}
	return string(l)
}

// reachability sums up the job servers' states and names those that do not answer.
func reachability(servers []backlog.ServerSample, polled bool) (metav1.ConditionStatus, string, string) {
	if !polled {
		return metav1.ConditionUnknown, reasonNotPolled, "no job server has been asked yet"
	}
	var bad, balanced []string
	for _, s := range servers {
		if s.State != backlog.StateOK {
			bad = append(bad, fmt.Sprintf("%s: %s", serverName(s), s.State))
		}
		if s.LoadBalanced {
			balanced = append(balanced, serverName(s))
		}
	}
	slices.Sort(bad)
	slices.Sort(balanced)
	switch {
	case len(bad) == 0 && len(balanced) > 0:
		return metav1.ConditionFalse, reasonLoadBalanced, "one address leads to several job servers, so the operator and the workers see different queues: name the job servers " +
			"one by one, or by a headless Service: " + strings.Join(balanced, ", ")
	case len(bad) == 0 && len(servers) > 0:
		return metav1.ConditionTrue, reasonAllAnswer, ""
	case len(bad) == len(servers):
		return metav1.ConditionFalse, reasonNoneAnswers, "nothing shrinks while no job server answers: " + strings.Join(bad, ", ")
	default:
		return metav1.ConditionFalse, reasonSomeSilent, "nothing shrinks while a job server is silent: " + strings.Join(bad, ", ")
	}
}
