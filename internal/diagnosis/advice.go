package diagnosis

import (
	"cmp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// advice is the text about a condition for a person. In try, POOL and NAMESPACE are replaced by the
// pool's own.
type advice struct {
	severity Severity
	title    string
	try      []string
	only     func(*v1alpha1.GearmanWorkerPool) bool // if set, the condition is a problem only if it returns true
}

// key is a condition and its reason; an empty reason stands for every reason that has no entry.
type key struct{ condition, reason string }

// unhealthy is the status in which a condition reports a problem. Conditions that are not listed
// report none.
var unhealthy = map[string]metav1.ConditionStatus{
	v1alpha1.ConditionReady:                   metav1.ConditionFalse,
	v1alpha1.ConditionStalled:                 metav1.ConditionTrue,
	v1alpha1.ConditionJobServersReachable:     metav1.ConditionFalse,
	v1alpha1.ConditionScalingActive:           metav1.ConditionFalse,
	v1alpha1.ConditionScalingLimited:          metav1.ConditionTrue,
	v1alpha1.ConditionBacklogNotRunnable:      metav1.ConditionTrue,
	v1alpha1.ConditionBacklogNotProgressing:   metav1.ConditionTrue,
	v1alpha1.ConditionScaleDownBlocked:        metav1.ConditionTrue,
	v1alpha1.ConditionForeignPods:             metav1.ConditionTrue,
	v1alpha1.ConditionFunctionShared:          metav1.ConditionTrue,
	v1alpha1.ConditionTooManyJobServers:       metav1.ConditionTrue,
	v1alpha1.ConditionJobsFailing:             metav1.ConditionTrue,
	v1alpha1.ConditionTargetBelowStartTime:    metav1.ConditionTrue,
	v1alpha1.ConditionWorkersUnfit:            metav1.ConditionTrue,
	v1alpha1.ConditionTerminatingPodsTakeJobs: metav1.ConditionTrue,
	v1alpha1.ConditionSidecarsStopFirst:       metav1.ConditionTrue,
}

const (
	describePods = "kubectl describe pods -l gearman.dev/pool=POOL -n NAMESPACE"
	editPool     = "kubectl edit gwp POOL -n NAMESPACE"
	askServers   = "kubectl gearman status pool/POOL -n NAMESPACE"
	operatorLogs = "kubectl logs -A -l app.kubernetes.io/name=gearman-operator --tail 50"
	workerLogs   = "kubectl logs -l gearman.dev/pool=POOL -n NAMESPACE -c worker --tail 50"
)

var adviceTable = map[key]advice{
	{v1alpha1.ConditionStalled, ""}: {
		severity: Critical, title: "The pool's spec can't be used.", try: []string{editPool},
	},
	{v1alpha1.ConditionStalled, "InvalidScaling"}: {
		severity: Critical, title: "A schedule or scaling.behavior is invalid.",
		try: []string{"Fix the field that the message names.", editPool},
	},
	{v1alpha1.ConditionStalled, "InvalidPodTemplate"}: {
		severity: Critical, title: "The pod template can't be used.",
		try: []string{"Fix the field that the message names.", editPool},
	},
	{v1alpha1.ConditionStalled, "InvalidTLS"}: {
		severity: Critical, title: "The TLS Secrets can't be used.",
		try: []string{"Create or fix the Secret that the message names.", "kubectl get secrets -n NAMESPACE"},
	},
	{v1alpha1.ConditionStalled, "InvalidServers"}: {
		severity: Critical, title: "The operator can't watch the job servers.",
		try: []string{"Fix spec.servers as the message says.", editPool},
	},
	{v1alpha1.ConditionStalled, "NameTaken"}: {
		severity: Critical, title: "A Deployment of this name exists and belongs to somebody else.",
		try: []string{
			"Rename the pool, or scale that Deployment with spec.targetRef.",
			"kubectl get deployment POOL -n NAMESPACE -o yaml",
		},
	},
	{v1alpha1.ConditionStalled, "TargetNotFound"}: {
		severity: Critical, title: "The target of the pool doesn't exist.",
		try: []string{
			"Create the workload, or fix spec.targetRef.", "kubectl get deployments,statefulsets -n NAMESPACE",
		},
	},
	{v1alpha1.ConditionStalled, "TargetTaken"}: {
		severity: Critical, title: "Another pool scales the same target.",
		try: []string{"Delete one of the pools, or list all functions in one.", "kubectl get gwp -n NAMESPACE"},
	},
	{v1alpha1.ConditionStalled, "PodsRefused"}: {
		severity: Critical, title: "The API server refuses the pool's pods.",
		try: []string{
			"Check quotas, LimitRanges and admission policies.",
			"kubectl describe resourcequota,limitrange -n NAMESPACE",
			"kubectl get events -n NAMESPACE --field-selector reason=FailedCreate",
		},
	},
	{v1alpha1.ConditionStalled, "Contested"}: {
		severity: Critical, title: "Somebody else keeps changing or deleting the pool's Deployment.",
		try: []string{
			"Find the other writer, then stop it or make its change in the pool.",
			"kubectl get deployment POOL -n NAMESPACE --show-managed-fields -o yaml",
		},
	},
	{v1alpha1.ConditionJobServersReachable, "NoneAnswers"}: {
		severity: Critical, title: "No job server answers. The number of pods stays as it is.",
		try: []string{
			"Check that the job servers run and that a NetworkPolicy lets the operator reach them.", askServers,
		},
	},
	{v1alpha1.ConditionJobServersReachable, "SomeDoNotAnswer"}: {
		severity: Warning, title: "A job server doesn't answer. The pool may scale up but not down.",
		try: []string{"Check that job server. If it is gone for good, remove it from spec.servers.", askServers},
	},
	{v1alpha1.ConditionJobServersReachable, "LoadBalanced"}: {
		severity: Critical, title: "One address leads to several job servers.",
		try: []string{"Use a headless Service (clusterIP: None), or list the job servers one by one in spec.servers."},
	},
	{v1alpha1.ConditionReady, "PodsNotStarting"}: {
		severity: Critical, title: "The pool's pods don't start.",
		try: []string{describePods, workerLogs},
	},
	{v1alpha1.ConditionReady, "Retrying"}: {
		severity: Critical, title: "The operator can't apply the pool and keeps trying.",
		try: []string{
			"Check what the API server answered: an outage, a missing right, an admission policy or a quota.",
			operatorLogs,
			"kubectl get events -n NAMESPACE --field-selector involvedObject.name=POOL",
		},
	},
	{v1alpha1.ConditionScalingActive, "Contested"}: {
		severity: Critical, title: "Somebody else keeps changing the replicas, so the operator paused scaling.",
		try: []string{
			"Remove a HorizontalPodAutoscaler or ScaledObject for this workload, or set scaling.mode to Paused.",
			"kubectl get hpa -n NAMESPACE",
		},
	},
	{v1alpha1.ConditionScalingActive, "Paused"}: {
		severity: Info, title: "Scaling is paused.", try: []string{"kubectl gearman resume POOL -n NAMESPACE"},
	},
	{v1alpha1.ConditionScalingActive, "Manual"}: {
		severity: Info, title: "The number of pods is set by hand.",
		try: []string{"kubectl gearman resume POOL -n NAMESPACE"},
	},
	{v1alpha1.ConditionScalingActive, "DryRun"}: {
		severity: Info, title: "The pool only reports decisions (DryRun).",
		try: []string{"Set scaling.mode to Auto to let the operator scale.", editPool},
	},
	{v1alpha1.ConditionScalingLimited, "TooManyReplicas"}: {
		severity: Warning, title: "The pool is at its maximum and jobs are queued.", only: hasQueue,
		try: []string{
			"Raise spec.maxReplicas (or the schedule that lowers it), or accept a longer scaling.targetWaitSeconds.",
			editPool,
		},
	},
	{v1alpha1.ConditionScalingLimited, "PodsBlocked"}: {
		severity: Warning, title: "More pods are needed, but the last ones can't start, so no more are ordered.",
		try: []string{describePods, "kubectl describe resourcequota -n NAMESPACE"},
	},
	{v1alpha1.ConditionScalingLimited, "ScaleUpLimit"}: {
		severity: Warning, title: "scaling.behavior.scaleUp limits how fast the pool scales up.", only: hasQueue,
		try: []string{editPool},
	},
	{v1alpha1.ConditionBacklogNotRunnable, ""}: {
		severity: Warning, title: "Jobs are queued that the job server gives to no free worker.",
		try: []string{
			"Delayed jobs run when they are due. Canceled jobs and jobs of clients that left stay in the count.",
			askServers,
		},
	},
	{v1alpha1.ConditionBacklogNotProgressing, ""}: {
		severity: Critical, title: "Jobs run, but none has completed for a long time.",
		try: []string{"Check the worker logs for a job that always fails.", workerLogs},
	},
	{v1alpha1.ConditionScaleDownBlocked, ""}: {
		severity: Warning,
		title:    "Fewer pods would do, but it is not known which can be removed without cutting off a job.",
		try: []string{
			"If workers finish their jobs on SIGTERM, set scaling.podRemoval to Graceful.", describePods,
		},
	},
	{v1alpha1.ConditionForeignPods, ""}: {
		severity: Warning, title: "Pods that the pool's Deployment does not control carry the pool's labels.",
		try: []string{
			"Delete them, or take the label gearman.dev/pool off.",
			"kubectl get pods -l gearman.dev/pool=POOL -n NAMESPACE --show-labels",
		},
	},
	{v1alpha1.ConditionJobsFailing, ""}: {
		severity: Critical, title: "Jobs fail.",
		try: []string{workerLogs, "If the failures began with a new image, go back to the old one.", editPool},
	},
	{v1alpha1.ConditionWorkersUnfit, ""}: {
		severity: Critical, title: "Workers cannot run jobs and take none.",
		try: []string{"Check the command, its volumes and the log of the pods that the message names.", workerLogs},
	},
	{v1alpha1.ConditionWorkersUnfit, "ServiceUnreachable"}: {
		severity: Critical, title: "The service that runs the jobs can't be reached.",
		try: []string{"Check that the service of spec.runtime runs and answers.", workerLogs},
	},
	{v1alpha1.ConditionTerminatingPodsTakeJobs, ""}: {
		severity: Warning,
		title:    "Terminating pods still take jobs, and will be killed while they run them.",
		try: []string{
			"Have the image handle SIGTERM: a process that runs as PID 1 without a handler ignores it. An init such as tini passes it on.",
			"Lower spec.drainSeconds, so that these pods end sooner.", describePods,
		},
	},
	{v1alpha1.ConditionSidecarsStopFirst, ""}: {
		severity: Warning, title: "Containers beside the worker stop before its last jobs have ended.",
		try: []string{
			"Move them to podTemplate.spec.initContainers with restartPolicy: Always: these sidecars stop after the worker.",
			editPool,
		},
	},
	{v1alpha1.ConditionTargetBelowStartTime, ""}: {
		severity: Warning, title: "Pods take longer to start than a job should wait.",
		try: []string{"Raise scaling.targetWaitSeconds or spec.minReplicas, or make the pods start faster.", editPool},
	},
	{v1alpha1.ConditionTooManyJobServers, ""}: {
		severity: Warning, title: "The pool names more job servers than the operator uses.",
		try: []string{"Name fewer job servers, or raise the limit that the message names.", editPool},
	},
	{v1alpha1.ConditionFunctionShared, ""}: {
		severity: Warning, title: "Several pools serve the same function. Together they start more pods than needed.",
		try: []string{"List the function in one pool only."},
	},
}

func hasQueue(pool *v1alpha1.GearmanWorkerPool) bool { return pool.Status.Queue.Queued > 0 }

// Unhealthy reports whether a condition has the status in which it reports a problem.
func Unhealthy(c *metav1.Condition) bool {
	status, ok := unhealthy[c.Type]
	return ok && c.Status == status
}

// adviceFor finds the entry for a condition that reports a problem.
func adviceFor(c metav1.Condition) (advice, bool) {
	if !Unhealthy(&c) {
		return advice{}, false
	}
	if a, ok := adviceTable[key{c.Type, c.Reason}]; ok {
		return a, true
	}
	if a, ok := adviceTable[key{c.Type, ""}]; ok {
		return a, true
	}
	// Ready=False during a rollout, or a limit that is the user's own minimum, needs no action.
	if c.Type == v1alpha1.ConditionReady && c.Reason != "Rollout" && c.Reason != "" {
		return advice{severity: Critical, title: cmp.Or(c.Message, c.Reason), try: []string{describePods}}, true
	}
	return advice{}, false
}
