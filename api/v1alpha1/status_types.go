package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// GearmanWorkerPoolStatus is what the operator last saw and decided. It is written on change; the queue's figures at most once a
// minute. Live figures are in the operator's metrics.
type GearmanWorkerPoolStatus struct {
	// ObservedGeneration is the generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Functions is the pool's functions, joined by commas, for kubectl get.
	// +optional
	Functions string `json:"functions,omitempty"`

	// Replicas is how many pods exist.
	// +optional
	Replicas int32 `json:"replicas"`

	// ReadyReplicas is how many pods are ready: registered at a job server.
	// +optional
	ReadyReplicas int32 `json:"readyReplicas"`

	// DesiredReplicas is what the operator last decided.
	// +optional
	DesiredReplicas int32 `json:"desiredReplicas"`

	// Selector finds the pool's pods.
	// +optional
	Selector string `json:"selector,omitempty"`

	// Queue is the backlog over all job servers and functions.
	// +optional
	Queue QueueStatus `json:"queue,omitempty"`

	// Servers is the state of each job server.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Servers []ServerStatus `json:"servers,omitempty"`

	// Decision is the last decision and what led to it.
	// +optional
	Decision DecisionStatus `json:"decision,omitempty"`

	// Learnt is what the scaling law measured and keeps over restarts of the operator.
	// +optional
	Learnt *LearntStatus `json:"learnt,omitempty"`

	// LastScaleTime is when replicas was last changed.
	// +optional
	LastScaleTime *metav1.Time `json:"lastScaleTime,omitempty"`

	// Conditions: Ready, Reconciling, Stalled, JobServersReachable, ScalingActive, ScalingLimited, BacklogNotRunnable,
	// BacklogNotProgressing, FunctionShared.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// QueueStatus is the backlog of a pool.
type QueueStatus struct {
	// Queued is the number of jobs that wait.
	Queued int64 `json:"queued"`

	// Running is the number of jobs that workers hold.
	Running int64 `json:"running"`

	// OldestWaitSeconds is an estimate how long the oldest queued job has waited.
	// +optional
	OldestWaitSeconds int64 `json:"oldestWaitSeconds,omitempty"`

	// JobMilliseconds is how long a job takes on average, as learnt.
	// +optional
	JobMilliseconds int64 `json:"jobMilliseconds,omitempty"`
}

// ServerStatus is the state of one job server.
type ServerStatus struct {
	// Address as resolved, or as written in the spec where it does not resolve.
	Address string `json:"address"`

	// State: OK, Pending, Stale, or why it does not answer.
	State string `json:"state"`

	// Message says more; it never holds bytes from the job server.
	// +optional
	Message string `json:"message,omitempty"`
}

// DecisionStatus is a scaling decision and why.
type DecisionStatus struct {
	// Reason is a word for programs.
	// +optional
	Reason string `json:"reason,omitempty"`

	// Message is a sentence for people.
	// +optional
	Message string `json:"message,omitempty"`

	// Terms are the numbers that led to it, with their units in their names.
	// +optional
	Terms map[string]int64 `json:"terms,omitempty"`
}

// LearntStatus is what the scaling law has measured.
type LearntStatus struct {
	// BootMilliseconds is the median time from a pod's creation until it is registered at a job server.
	// +optional
	BootMilliseconds int64 `json:"bootMilliseconds,omitempty"`

	// Functions holds the job time of each function.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Functions []LearntFunction `json:"functions,omitempty"`
}

// LearntFunction is what was measured of one function.
type LearntFunction struct {
	// Name of the function.
	// +kubebuilder:validation:MaxLength=255
	Name string `json:"name"`

	// JobMilliseconds is the mean time of jobs that ended well.
	JobMilliseconds int64 `json:"jobMilliseconds"`
}

// Condition types of a pool. Ready, Reconciling and Stalled have kstatus' meaning.
const (
	ConditionReady                 = "Ready"
	ConditionReconciling           = "Reconciling"
	ConditionStalled               = "Stalled"
	ConditionJobServersReachable   = "JobServersReachable"
	ConditionScalingActive         = "ScalingActive"
	ConditionScalingLimited        = "ScalingLimited"
	ConditionBacklogNotRunnable    = "BacklogNotRunnable"
	ConditionBacklogNotProgressing = "BacklogNotProgressing"
	ConditionFunctionShared        = "FunctionShared"
)

// LabelPool is the label that a pool's pods carry; its value is the pool's name.
const LabelPool = "gearman.dev/pool"
