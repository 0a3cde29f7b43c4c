package v1alpha1

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
)

// ScalingSpec configures how the number of pods follows the queue.
//
// +kubebuilder:validation:XValidation:rule="(has(self.mode) && self.mode == 'Manual') == has(self.manualReplicas)",message="mode Manual and manualReplicas go together: set both or neither"
type ScalingSpec struct {
	// Mode selects who sets the number of pods. Auto (default) scales by the queue. Manual keeps manualReplicas. DryRun
	// decides and explains but changes nothing. Paused does nothing.
	// +optional
	// +kubebuilder:validation:Enum=Auto;Manual;DryRun;Paused
	Mode ScalingMode `json:"mode,omitempty"`

	// ManualReplicas is the number of pods in mode Manual.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	ManualReplicas *int32 `json:"manualReplicas,omitempty"`

	// TargetWaitSeconds is the time within which a queued job should start. Default: 30, unless jobsPerReplica is set.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=604800
	TargetWaitSeconds *int32 `json:"targetWaitSeconds,omitempty"`

	// JobsPerReplica is the maximum number of queued jobs for each replica. If targetWaitSeconds is set too, the larger
	// number of replicas wins.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	JobsPerReplica *int32 `json:"jobsPerReplica,omitempty"`

	// JobSeconds is a hint of how long a job takes. It is used until the job time has been measured.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2592000
	JobSeconds *int32 `json:"jobSeconds,omitempty"`

	// PollSeconds is the poll period. Default: 5. The operator's --min-poll-seconds is a lower bound.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=300
	PollSeconds *int32 `json:"pollSeconds,omitempty"`

	// IdleSeconds is how long the queue must be empty and all pods idle before the last pods are removed. Default: 30.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=604800
	IdleSeconds *int32 `json:"idleSeconds,omitempty"`

	// StaleAfterSeconds is how long a job server may be silent before it is left out of the sums. Default: 3600.
	// +optional
	// +kubebuilder:validation:Minimum=60
	// +kubebuilder:validation:Maximum=2592000
	StaleAfterSeconds *int32 `json:"staleAfterSeconds,omitempty"`

	// PodRemoval: IdleOnly (default) removes only pods that are known to be idle. Graceful trusts every pod to finish its
	// jobs on SIGTERM.
	// +optional
	// +kubebuilder:validation:Enum=IdleOnly;Graceful
	PodRemoval PodRemovalPolicy `json:"podRemoval,omitempty"`

	// Wake selects how the first job of a pool at zero is noticed. Poll (default) polls every second. Notify also has the
	// job server notify the operator.
	// +optional
	// +kubebuilder:validation:Enum=Poll;Notify
	Wake WakePolicy `json:"wake,omitempty"`

	// Behavior has the meaning of a HorizontalPodAutoscaler's behavior. If unset, the scaling law's own windows apply.
	// +optional
	Behavior *autoscalingv2.HorizontalPodAutoscalerBehavior `json:"behavior,omitempty"`

	// Schedules raise the minimum or lower the maximum at given times.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Schedules []Schedule `json:"schedules,omitempty"`

	// Fallback configures what happens if no job server answers.
	// +optional
	Fallback *Fallback `json:"fallback,omitempty"`
}

// ScalingMode selects who sets the number of pods.
type ScalingMode string

// The scaling modes.
const (
	ModeAuto   ScalingMode = "Auto"
	ModeManual ScalingMode = "Manual"
	ModeDryRun ScalingMode = "DryRun"
	ModePaused ScalingMode = "Paused"
)

// PodRemovalPolicy selects which pods may be removed.
type PodRemovalPolicy string

// The pod removal policies.
const (
	PodRemovalIdleOnly PodRemovalPolicy = "IdleOnly"
	PodRemovalGraceful PodRemovalPolicy = "Graceful"
)

// WakePolicy selects how the operator notices the first job of a pool at zero.
type WakePolicy string

// The wake policies.
const (
	WakePoll   WakePolicy = "Poll"
	WakeNotify WakePolicy = "Notify"
)

// Schedule changes a bound during a recurring period.
//
// +kubebuilder:validation:XValidation:rule="has(self.minReplicas) || has(self.maxReplicas)",message="a schedule must set minReplicas, maxReplicas or both"
// +kubebuilder:validation:XValidation:rule="!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",message="a schedule's minReplicas must not be greater than its maxReplicas"
type Schedule struct {
	// Name of the schedule, unique in the pool.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`

	// Start is a cron expression of five fields (minute, hour, day of month, month, day of week).
	// +required
	// +kubebuilder:validation:MinLength=9
	// +kubebuilder:validation:MaxLength=128
	Start string `json:"start"`

	// DurationSeconds is the length of each period.
	// +required
	// +kubebuilder:validation:Minimum=60
	// +kubebuilder:validation:Maximum=2678400
	DurationSeconds int32 `json:"durationSeconds"`

	// TimeZone of start: a name of the IANA database such as Europe/Berlin. Default: UTC.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	TimeZone string `json:"timeZone,omitempty"`

	// MinReplicas is the minimum during the period, if it is greater than the pool's own.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	MinReplicas *int32 `json:"minReplicas,omitempty"`

	// MaxReplicas is the maximum during the period, if it is less than the pool's own.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	MaxReplicas *int32 `json:"maxReplicas,omitempty"`
}

// Fallback configures what happens after no job server has answered for a while.
//
// +kubebuilder:validation:XValidation:rule="(self.policy == 'Hold') != has(self.replicas)",message="fallback policies Static and AtLeast need replicas; Hold takes none"
type Fallback struct {
	// AfterSeconds is how long all job servers must have been silent before the fallback applies.
	// +required
	// +kubebuilder:validation:Minimum=15
	// +kubebuilder:validation:Maximum=604800
	AfterSeconds int32 `json:"afterSeconds"`

	// Policy: Hold keeps the number of pods, Static sets it to replicas, AtLeast raises it to replicas.
	// +required
	// +kubebuilder:validation:Enum=Hold;Static;AtLeast
	Policy FallbackPolicy `json:"policy"`

	// Replicas for Static and AtLeast.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	Replicas *int32 `json:"replicas,omitempty"`
}

// FallbackPolicy selects what happens if no job server answers.
type FallbackPolicy string

// The fallback policies.
const (
	FallbackHold    FallbackPolicy = "Hold"
	FallbackStatic  FallbackPolicy = "Static"
	FallbackAtLeast FallbackPolicy = "AtLeast"
)
