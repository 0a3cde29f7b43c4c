package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// GearmanWorkerPoolStatus reports what the operator last observed and decided. It is written on change, the queue's figures
// at most once a minute. Live figures are in the operator's metrics.
type GearmanWorkerPoolStatus struct {
	// ObservedGeneration is the generation of the spec that this status describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// RuntimeImage is the image from which the worker runtime of the pool's pods comes.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	RuntimeImage string `json:"runtimeImage,omitempty"`

	// Functions lists the pool's functions, joined by commas, for kubectl get.
	// +optional
	Functions string `json:"functions,omitempty"`

	// Mode is the scaling mode in force: Auto, Manual, DryRun or Paused.
	// +optional
	Mode ScalingMode `json:"mode,omitempty"`

	// Pods is "ready/desired", for kubectl get: ready pods and the number of pods that the operator last decided on.
	// +optional
	Pods string `json:"pods,omitempty"`

	// Replicas is the number of pods that exist.
	// +optional
	Replicas int32 `json:"replicas"`

	// ReadyReplicas is the number of ready pods.
	// +optional
	ReadyReplicas int32 `json:"readyReplicas"`

	// DesiredReplicas is the number of pods that the operator last decided on.
	// +optional
	DesiredReplicas int32 `json:"desiredReplicas"`

	// Selector is the label selector of the pool's pods.
	// +optional
	Selector string `json:"selector,omitempty"`

	// Queue sums the queues of all job servers and functions.
	// +optional
	Queue QueueStatus `json:"queue,omitempty"`

	// LastHour counts the outcomes of the last hour's jobs, as reported by the workers' telemetry since the operator started.
	// +optional
	LastHour *OutcomeStatus `json:"lastHour,omitempty"`

	// Servers reports the state of each job server.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Servers []ServerStatus `json:"servers,omitempty"`

	// Decision is the last scaling decision and the reason for it.
	// +optional
	Decision DecisionStatus `json:"decision,omitempty"`

	// Measured holds what the scaling law has measured. It survives restarts of the operator.
	// +optional
	Measured *MeasuredStatus `json:"measured,omitempty"`

	// LastScaleTime is when replicas was last changed.
	// +optional
	LastScaleTime *metav1.Time `json:"lastScaleTime,omitempty"`

	// Conditions: Ready, Reconciling, Stalled, JobServersReachable, ScalingActive, ScalingLimited, BacklogNotRunnable,
	// BacklogNotProgressing, ScaleDownBlocked, ForeignPods, FunctionShared, JobsFailing, TargetBelowStartTime,
	// TooManyJobServers, WorkersUnfit, TerminatingPodsTakeJobs, SidecarsStopFirst.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// QueueStatus sums the job queues of a pool.
type QueueStatus struct {
	// Queued is the number of queued jobs.
	Queued int64 `json:"queued"`

	// Running is the number of jobs that are running.
	Running int64 `json:"running"`

	// OldestWaitSeconds estimates how long the oldest queued job has waited.
	// +optional
	OldestWaitSeconds int64 `json:"oldestWaitSeconds,omitempty"`

	// JobMilliseconds is the measured mean time of a job.
	// +optional
	JobMilliseconds int64 `json:"jobMilliseconds,omitempty"`
}

// OutcomeStatus counts the outcomes of jobs.
type OutcomeStatus struct {
	// Completed is the number of jobs that completed.
	Completed int64 `json:"completed"`

	// Failed is the number of jobs that failed for good, including deadLettered.
	Failed int64 `json:"failed"`

	// DeadLettered is the number of failed jobs that went to the dead letter function.
	// +optional
	DeadLettered int64 `json:"deadLettered,omitempty"`

	// Requeued is the number of jobs that a worker returned to the job server unfinished.
	Requeued int64 `json:"requeued"`

	// Retried is the number of jobs that failed and were submitted again for their next attempt.
	// +optional
	Retried int64 `json:"retried,omitempty"`

	// Started is the number of jobs that started, estimated from polls and telemetry. Unset if the pool scales by
	// jobsPerReplica alone.
	// +optional
	Started int64 `json:"started,omitempty"`

	// Late is the number of them that started later than targetWaitSeconds after their arrival, estimated.
	// +optional
	Late int64 `json:"late,omitempty"`

	// LateAtLeast and LateAtMost bound Late: the operator sees neither the arrival nor the start of a job, only how many
	// there were between two polls. They hold for jobs of one priority.
	// +optional
	LateAtLeast int64 `json:"lateAtLeast,omitempty"`

	// LateAtMost is the upper bound of Late.
	// +optional
	LateAtMost int64 `json:"lateAtMost,omitempty"`
}

// ServerStatus reports the state of one job server.
type ServerStatus struct {
	// Address as resolved, or as written in the spec if it does not resolve.
	Address string `json:"address"`

	// State: OK, Pending, Stale, or the reason why the job server does not answer.
	State string `json:"state"`
}

// DecisionStatus is a scaling decision and the reason for it.
type DecisionStatus struct {
	// Reason is a machine-readable word.
	// +optional
	Reason string `json:"reason,omitempty"`

	// Message is a human-readable sentence.
	// +optional
	Message string `json:"message,omitempty"`

	// Terms are the numbers behind the decision. The name of each includes its unit.
	// +optional
	Terms map[string]int64 `json:"terms,omitempty"`
}

// MeasuredStatus holds what the scaling law has measured.
type MeasuredStatus struct {
	// BootMilliseconds is the median time from a pod's creation until it is registered at a job server.
	// +optional
	BootMilliseconds int64 `json:"bootMilliseconds,omitempty"`

	// Functions holds the job time of each function.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Functions []MeasuredFunction `json:"functions,omitempty"`
}

// MeasuredFunction holds what the scaling law has measured for one function.
type MeasuredFunction struct {
	// Name of the function.
	// +kubebuilder:validation:MaxLength=255
	Name string `json:"name"`

	// JobMilliseconds is the mean time of completed jobs.
	JobMilliseconds int64 `json:"jobMilliseconds"`
}

// Condition types of a pool. Ready, Reconciling and Stalled follow the kstatus conventions.
const (
	ConditionReady                   = "Ready"
	ConditionReconciling             = "Reconciling"
	ConditionStalled                 = "Stalled"
	ConditionJobServersReachable     = "JobServersReachable"
	ConditionScalingActive           = "ScalingActive"
	ConditionScalingLimited          = "ScalingLimited"
	ConditionBacklogNotRunnable      = "BacklogNotRunnable"
	ConditionBacklogNotProgressing   = "BacklogNotProgressing"
	ConditionScaleDownBlocked        = "ScaleDownBlocked"
	ConditionForeignPods             = "ForeignPods"
	ConditionFunctionShared          = "FunctionShared"
	ConditionJobsFailing             = "JobsFailing"
	ConditionTargetBelowStartTime    = "TargetBelowStartTime"
	ConditionTooManyJobServers       = "TooManyJobServers"
	ConditionWorkersUnfit            = "WorkersUnfit"
	ConditionTerminatingPodsTakeJobs = "TerminatingPodsTakeJobs"
	ConditionSidecarsStopFirst       = "SidecarsStopFirst"
)

// LabelPool is the label on a pool's pods. Its value is the pool's name.
const LabelPool = "gearman.dev/pool"
