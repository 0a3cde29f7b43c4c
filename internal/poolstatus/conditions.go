package poolstatus

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
	ReasonAsExpected         = "AsExpected"
	ReasonInvalidPodTemplate = "InvalidPodTemplate"
	ReasonInvalidScaling     = "InvalidScaling"
	ReasonInvalidTLS         = "InvalidTLS"
	ReasonSecretsNotReadable = "SecretsNotReadable"
	ReasonInvalidServers     = "InvalidServers"
	ReasonNameTaken          = "NameTaken"
	ReasonTargetNotFound     = "TargetNotFound"
	ReasonTargetTaken        = "TargetTaken"
	ReasonPodsRefused        = "PodsRefused"
	ReasonPodsNotStarting    = "PodsNotStarting"
	ReasonNamespaceEnds      = "NamespaceTerminating"
	ReasonRollout            = "Rollout"
	ReasonNotPolled          = "NotYetPolled"
	ReasonAllAnswer          = "AllAnswer"
	ReasonSomeSilent         = "SomeDoNotAnswer"
	ReasonNoneAnswers        = "NoneAnswers"
	ReasonLoadBalanced       = "LoadBalanced"
	ReasonContested          = "Contested"
	ReasonRetrying           = "Retrying"
	ReasonNotRunnable        = "NotRunnable"
	ReasonNoJobCompletes     = "NoJobCompletes"
	ReasonMostJobsFail       = "MostJobsFail"
	ReasonSlowStart          = "PodsStartSlowly"
	ReasonJobsNotStarting    = "JobsNotStarting"
	ReasonServiceUnreachable = "ServiceUnreachable"
	ReasonPodsBlocked        = "PodsBlocked"
	ReasonNotStopping        = "NotStopping"
	ReasonStopWithWorker     = "StopWithWorker"
)

// setConditions sets every condition that the operator owns. Messages contain no counts and no
// times, so that nothing flaps.
func setConditions(conditions *[]metav1.Condition, f *Facts) {
	set := func(kind string, status metav1.ConditionStatus, reason, message string) {
		meta.SetStatusCondition(conditions, metav1.Condition{
			Type: kind, Status: status, Reason: reason, Message: truncate(message), ObservedGeneration: f.Generation,
		})
	}
	flag := func(kind string, on bool, reason, message string) {
		if on {
			set(kind, metav1.ConditionTrue, reason, message)
			return
		}
		set(kind, metav1.ConditionFalse, ReasonAsExpected, "")
	}
	flag(v1alpha1.ConditionStalled, f.Stall.Reason != "", f.Stall.Reason, f.Stall.Message)
	flag(v1alpha1.ConditionReconciling, f.RollingOut, ReasonRollout, "pods of an older template are being replaced")

	reachable, reason, message := reachability(&f.View)
	set(v1alpha1.ConditionJobServersReachable, reachable, reason, message)
	ready, why, says := readiness(f, reachable, reason, message)
	set(v1alpha1.ConditionReady, ready, why, says)
	active, why, says := scalingActivity(f, reason, message)
	set(v1alpha1.ConditionScalingActive, active, why, says)
	setWarnings(flag, f)
}

// readiness is the condition Ready. reachable, reason and message are those of
// JobServersReachable.
func readiness(
	f *Facts, reachable metav1.ConditionStatus, reason, message string,
) (ready metav1.ConditionStatus, why, says string) {
	broken := podsWithoutJobs(&f.View.Sample)
	switch {
	case f.Stall.Reason != "":
		return metav1.ConditionFalse, f.Stall.Reason, f.Stall.Message
	case f.Retrying != "":
		return metav1.ConditionFalse, ReasonRetrying, f.Retrying
	case reachable == metav1.ConditionUnknown:
		return metav1.ConditionUnknown, reason, message
	case reason == ReasonNoneAnswers || reason == ReasonLoadBalanced:
		return metav1.ConditionFalse, reason, message
	case f.Trouble != "" && (f.NoWorker || f.RollingOut):
		return metav1.ConditionFalse, ReasonPodsNotStarting, "workers can't start: " + f.Trouble.Advice()
	case len(broken) > 0 && len(broken) == len(f.View.Sample.Pods) && f.View.Decision.Replicas > 0:
		return metav1.ConditionFalse, commonTrouble(&f.View.Sample),
			"no pod can run jobs: see the condition " + v1alpha1.ConditionWorkersUnfit
	case f.RollingOut:
		return metav1.ConditionFalse, ReasonRollout, "pods of an older template are being replaced"
	}
	return metav1.ConditionTrue, ReasonAsExpected, ""
}

// scalingActivity is the condition ScalingActive. reason and message are those of
// JobServersReachable.
func scalingActivity(f *Facts, reason, message string) (active metav1.ConditionStatus, why, says string) {
	switch {
	case f.Stall.Reason != "" && !f.Stall.KeepsRunning:
		return metav1.ConditionFalse, f.Stall.Reason, f.Stall.Message
	case f.Contested:
		return metav1.ConditionFalse, ReasonContested,
			"somebody else keeps changing the replicas: stop the other writer, or set scaling.mode to Paused"
	case f.Mode != v1alpha1.ModeAuto:
		return metav1.ConditionFalse, string(f.Mode), "scaling.mode is " + string(f.Mode)
	case reason == ReasonNoneAnswers || reason == ReasonNotPolled:
		return metav1.ConditionFalse, reason, message
	}
	return metav1.ConditionTrue, ReasonAsExpected, ""
}

// setWarnings sets the conditions that are true only if there is a problem.
func setWarnings(flag func(kind string, on bool, reason, message string), f *Facts) {
	limited, whyLimited := limitation(f)
	flag(v1alpha1.ConditionScalingLimited, limited != "", limited, whyLimited)
	flag(v1alpha1.ConditionBacklogNotRunnable, f.View.Decision.NotRunnable, ReasonNotRunnable,
		"jobs are queued that the job server gives to no free worker: they are delayed or canceled, or their clients left")
	flag(v1alpha1.ConditionBacklogNotProgressing, f.View.Decision.NotProgressing, ReasonNoJobCompletes,
		"jobs are running but none has completed for a long time: check the worker logs for a job that always fails")
	excess := f.View.Sample.Excess
	flag(v1alpha1.ConditionTooManyJobServers, excess.Any(), "BeyondLimit", excessMessage(excess))
	whyBlocked, blocked := blockedRemoval(f)
	flag(v1alpha1.ConditionScaleDownBlocked, blocked != "", string(whyBlocked), blocked)
	flag(v1alpha1.ConditionForeignPods, f.Unowned, "NotOwned",
		"pods with this pool's labels are not controlled by its Deployment. They do not count as replicas and are never removed: take their labels off or delete them")
	flag(v1alpha1.ConditionJobsFailing, f.View.Failing, ReasonMostJobsFail,
		"at least half of the jobs that ended in the last minutes failed, more than usual: check the worker logs")
	broken, why := podsWithoutJobs(&f.View.Sample), commonTrouble(&f.View.Sample)
	flag(v1alpha1.ConditionWorkersUnfit, len(broken) > 0, why, unfitMessage(why)+firstTen(broken))
	flag(v1alpha1.ConditionSidecarsStopFirst, len(f.Sidecars) > 0, ReasonStopWithWorker,
		"when a pod stops, its last jobs lose these containers, which get SIGTERM together with the worker: move them to "+
			"initContainers with restartPolicy Always, so that they stop after it: "+firstTen(f.Sidecars))
	flag(v1alpha1.ConditionTargetBelowStartTime, f.View.SlowStart, ReasonSlowStart,
		"a pod takes longer to start than scaling.targetWaitSeconds, so jobs that wait for a new pod start late: "+
			"raise the target or minReplicas, or make the pods start faster")
	unstopped := f.View.Sample.TerminatingTakeJobs
	flag(v1alpha1.ConditionTerminatingPodsTakeJobs, len(unstopped) > 0, ReasonNotStopping,
		"terminating pods still take jobs, which end unfinished when the grace period is over: "+
			"have the image handle SIGTERM. Pods: "+firstTen(unstopped))
	flag(v1alpha1.ConditionFunctionShared, len(f.Shared) > 0, "SharedWithPools",
		"these pools serve the same function and each counts its whole backlog, so together they start more pods than needed: "+firstTen(f.Shared))
}

// podsWithoutJobs returns the names of the pods whose workers report that they cannot run jobs and
// take none, sorted.
func podsWithoutJobs(s *backlog.Sample) (names []string) {
	for i := range s.Pods {
		if p := &s.Pods[i]; p.TakesNoJobs() {
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	return names
}

// commonTrouble is why pods take no jobs: the service, only if it is the reason of them all.
func commonTrouble(s *backlog.Sample) string {
	for i := range s.Pods {
		if p := &s.Pods[i]; p.TakesNoJobs() && !p.Unreachable() {
			return ReasonJobsNotStarting
		}
	}
	return ReasonServiceUnreachable
}

func unfitMessage(reason string) string {
	if reason == ReasonServiceUnreachable {
		return "workers take no jobs because the service of spec.runtime can't be reached; check the service. Pods: "
	}
	return "workers take no jobs because the command can't be started or has no process ready; check the worker logs. Pods: "
}

// excessMessage says what there is too much of.
func excessMessage(e backlog.Excess) string {
	var of []string
	if e.Addresses {
		of = append(of, "a name in servers has more addresses than are used")
	}
	if e.Pool {
		of = append(
			of, "the pool has more job servers than one pool may have (the operator's --max-job-servers-per-pool)",
		)
	}
	if e.Namespace {
		of = append(
			of,
			"the namespace's pools together have more job servers or names than they may have (--max-job-servers-per-namespace)",
		)
	}
	if e.Queues {
		of = append(
			of,
			"the namespace's pools together have more queues, functions times job servers, than they may have (--max-queues-per-namespace)",
		)
	}
	return "the pool is scaled by the first of its job servers only: " + strings.Join(of, "; ")
}

// blockedRemoval says why surplus pods stay; the message is empty if they don't, or if another
// condition says it.
func blockedRemoval(f *Facts) (reason scaling.RemovalReason, message string) {
	reason = f.Removal.Reason
	switch {
	case !f.Removal.Blocked:
		if !f.View.Decision.IdleUnknown || f.Mode != v1alpha1.ModeAuto {
			return "", ""
		}
		reason = scaling.RemovalUnknown
	case reason == scaling.RemovalUnready:
		return reason, "fewer replicas would do, but Kubernetes removes pods that are not ready first, and one may still process a job"
	case reason == scaling.RemovalBusy && f.IsTarget:
		return reason, "fewer replicas would do, but Kubernetes chooses which pods of the target to remove, and some process jobs: " +
			"set scaling.podRemoval to Graceful if workers finish their jobs on SIGTERM, or let the pool create its own Deployment"
	case reason != scaling.RemovalUnknown:
		return "", ""
	}
	return reason, "fewer replicas would do, but it is not known which pods process jobs: use the runtime's telemetry, " +
		"or set scaling.podRemoval to Graceful if workers finish their jobs on SIGTERM"
}

// maxMessage is the longest message of a condition by the API's schema: 32768 characters, each of
// at least one byte.
const maxMessage = 32768

// Failing returns a status that reports that the operator is retrying, and whether that is new;
// with an empty message the status is unchanged.
func Failing(
	before *v1alpha1.GearmanWorkerPoolStatus, message string,
) (status *v1alpha1.GearmanWorkerPoolStatus, changed bool) {
	status = before.DeepCopy()
	if message == "" {
		return status, false
	}
	changed = meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: ReasonRetrying,
		Message:            truncate(message),
		ObservedGeneration: status.ObservedGeneration,
	})
	return status, changed
}

// truncate shortens a message to the schema's limit, at the end of a character.
func truncate(message string) string {
	return strings.ToValidUTF8(message[:min(len(message), maxMessage)], "")
}

// limitation is why the replicas differ from the decision's: pods that can't start, before a bound.
func limitation(f *Facts) (reason, message string) {
	if f.HeldBack {
		return ReasonPodsBlocked, "more replicas are needed, but the pods that were ordered last can't start, so no more are ordered until they do"
	}
	return string(f.View.Decision.Limited), limitMessage(f.View.Decision.Limited)
}

func limitMessage(l scaling.Limit) string {
	switch l {
	case scaling.LimitMinimum:
		return "fewer replicas would suffice, but minReplicas (or a schedule, or a job that waits for its next attempt) keeps more"
	case scaling.LimitMaximum:
		return "more replicas are needed, but maxReplicas (or a schedule) is lower"
	case scaling.LimitScaleUp:
		return "more replicas are needed, but scaling.behavior.scaleUp limits the step"
	case scaling.LimitScaleDown:
		return "fewer replicas would suffice, but scaling.behavior.scaleDown limits the step"
	}
	return string(l)
}

// firstTen joins the first ten names, so that a message has a bounded length.
func firstTen(names []string) string {
	const most = 10
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", and others"
	}
	return strings.Join(names, ", ")
}

// reachability summarizes the job servers' states and names those that do not answer.
func reachability(v *View) (metav1.ConditionStatus, string, string) {
	if !v.Polled() {
		return metav1.ConditionUnknown, ReasonNotPolled, "no job server has been polled yet"
	}
	var bad, balanced []string
	servers := v.Sample.Servers
	for i := range servers {
		s := &servers[i]
		if s.State != backlog.StateOK {
			bad = append(bad, fmt.Sprintf("%s: %s", ServerName(s), s.Reported()))
		}
		if s.LoadBalanced {
			balanced = append(balanced, ServerName(s))
		}
	}
	slices.Sort(bad)
	slices.Sort(balanced)
	switch {
	case len(bad) == 0 && len(balanced) > 0:
		return metav1.ConditionFalse, ReasonLoadBalanced, "one address leads to several job servers, so the operator and the workers see different queues: name the job servers " +
			"one by one, or use a headless Service: " + firstTen(balanced)
	case len(bad) == 0 && len(servers) > 0:
		return metav1.ConditionTrue, ReasonAllAnswer, ""
	case len(bad) == len(servers):
		return metav1.ConditionFalse, ReasonNoneAnswers, "the pool does not scale while no job server answers: " +
			firstTen(bad)
	default:
		return metav1.ConditionFalse, ReasonSomeSilent, "the pool does not scale down while a job server is silent: " +
			firstTen(bad)
	}
}
