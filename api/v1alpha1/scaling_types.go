package v1alpha1

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
)

// ScalingSpec says how the number of pods follows the queue.
//
// +kubebuilder:validation:XValidation:rule="(has(self.mode) && self.mode == 'Manual') == has(self.manualReplicas)",message="mode Manual and manualReplicas go together: set both or neither"
type ScalingSpec struct {
	// Mode: Auto (default) scales by the queue; Manual holds manualReplicas; DryRun decides and explains but changes nothing;
	// Paused does nothing.
	// +optional
	// +kubebuilder:validation:Enum=Auto;Manual;DryRun;Paused
	Mode ScalingMode `json:"mode,omitempty"`

	// ManualReplicas is the number of pods in mode Manual.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	ManualReplicas *int32 `json:"manualReplicas,omitempty"`

	// TargetWaitSeconds: a queued job should start within this time. 30 where neither this nor jobsPerReplica is set.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=604800
	TargetWaitSeconds *int32 `json:"targetWaitSeconds,omitempty"`

	// JobsPerReplica: at most so many queued jobs for each replica. With targetWaitSeconds set too, the larger answer wins.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	JobsPerReplica *int32 `json:"jobsPerReplica,omitempty"`

	// JobSeconds is a hint how long a job takes, used until it has been measured.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2592000
	JobSeconds *int32 `json:"jobSeconds,omitempty"`

	// PollSeconds is how fresh the queue depth is to be; 5 where absent. The operator has a floor.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=300
	PollSeconds *int32 `json:"pollSeconds,omitempty"`

	// IdleSeconds is how long the pool must be empty and idle before its last pods go; 30 where absent.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=604800
	IdleSeconds *int32 `json:"idleSeconds,omitempty"`

	// StaleAfterSeconds: a job server that has been silent for so long is left out of the sums; 3600 where absent.
	// +optional
	// +kubebuilder:validation:Minimum=60
	// +kubebuilder:validation:Maximum=2592000
	StaleAfterSeconds *int32 `json:"staleAfterSeconds,omitempty"`

	// ScaleDown: IdleOnly (default) removes only pods that are known to be idle; Graceful trusts every pod to finish its jobs on SIGTERM.
	// +optional
	// +kubebuilder:validation:Enum=IdleOnly;Graceful
	ScaleDown ScaleDownPolicy `json:"scaleDown,omitempty"`

	// Wake: Poll (default) looks each second while the pool is at zero; Doorbell also lets the job server ring on the first job.
	// +optional
	// +kubebuilder:validation:Enum=Poll;Doorbell
	Wake WakePolicy `json:"wake,omitempty"`

	// Behavior has the meaning of a HorizontalPodAutoscaler's; absent, the scaling law's own windows hold.
	// +optional
	Behavior *autoscalingv2.HorizontalPodAutoscalerBehavior `json:"behavior,omitempty"`

	// Schedules raise the floor or lower the ceiling at times.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Schedules []Schedule `json:"schedules,omitempty"`

	// Fallback is what to do when no job server answers.
	// +optional
	Fallback *Fallback `json:"fallback,omitempty"`
}

// ScalingMode says who sets the number of pods.
type ScalingMode string

// The scaling modes.
const (
	ModeAuto   ScalingMode = "Auto"
	ModeManual ScalingMode = "Manual"
	ModeDryRun ScalingMode = "DryRun"
	ModePaused ScalingMode = "Paused"
)

// ScaleDownPolicy says which pods may be removed.
type ScaleDownPolicy string

// The scale-down policies.
const (
	ScaleDownIdleOnly ScaleDownPolicy = "IdleOnly"
	ScaleDownGraceful ScaleDownPolicy = "Graceful"
)

// WakePolicy says how the first job of an empty pool is noticed.
type WakePolicy string

// The wake policies.
const (
	WakePoll     WakePolicy = "Poll"
	WakeDoorbell WakePolicy = "Doorbell"
)

// Schedule moves a bound for a time, again and again.
//
// +kubebuilder:validation:XValidation:rule="has(self.minReplicas) || has(self.maxReplicas)",message="a schedule must set minReplicas, maxReplicas or both"
// +kubebuilder:validation:XValidation:rule="!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",message="a schedule's minReplicas must not be greater than its maxReplicas"
type Schedule struct {
	// Name of the schedule, unique in the pool.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`

	// Start is when it begins: a cron expression of five fields (minute, hour, day of month, month, day of week).
	// +required
	// +kubebuilder:validation:MinLength=9
	// +kubebuilder:validation:MaxLength=128
	Start string `json:"start"`

	// DurationSeconds is how long it lasts.
	// +required
	// +kubebuilder:validation:Minimum=60
	// +kubebuilder:validation:Maximum=2678400
	DurationSeconds int32 `json:"durationSeconds"`

	// TimeZone of start, a name of the IANA database such as Europe/Berlin; UTC where absent.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	TimeZone string `json:"timeZone,omitempty"`

	// MinReplicas raises the floor to this.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	MinReplicas *int32 `json:"minReplicas,omitempty"`

	// MaxReplicas lowers the ceiling to this.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	MaxReplicas *int32 `json:"maxReplicas,omitempty"`
}

// Fallback is what to do when no job server has answered for a while.
//
// +kubebuilder:validation:XValidation:rule="(self.policy == 'Hold') != has(self.replicas)",message="fallback policies Static and AtLeast need replicas; Hold takes none"
type Fallback struct {
	// AfterSeconds is how long all job servers must have been silent.
	// +required
	// +kubebuilder:validation:Minimum=15
	// +kubebuilder:validation:Maximum=604800
	AfterSeconds int32 `json:"afterSeconds"`

	// Policy: Hold keeps the replicas; Static sets them to replicas; AtLeast raises them to replicas.
	// +required
	// +kubebuilder:validation:Enum=Hold;Static;AtLeast
	Policy FallbackPolicy `json:"policy"`

	// Replicas for Static and AtLeast.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	Replicas *int32 `json:"replicas,omitempty"`
}

// FallbackPolicy is what to do when no job server answers.
type FallbackPolicy string

// The fallback policies.
const (
	FallbackHold    FallbackPolicy = "Hold"
	FallbackStatic  FallbackPolicy = "Static"
	FallbackAtLeast FallbackPolicy = "AtLeast"
)
