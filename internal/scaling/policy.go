package scaling

import "time"

// Mode says who decides.
type Mode string

const (
	ModeAuto   Mode = "Auto"   // the law decides (also the meaning of "")
	ModeManual Mode = "Manual" // Policy.ManualReplicas, within the bounds
	ModeDryRun Mode = "DryRun" // the law decides; nothing is changed
	ModePaused Mode = "Paused" // nothing is decided and nothing is changed
)

// ScaleDown says which pods may be removed.
type ScaleDown string

const (
	// ScaleDownIdleOnly removes only pods that telemetry shows to be idle (with a concurrency above
	// 1: the least busy, which drain). Without telemetry, pods are removed only while no job runs
	// at all. It is also the meaning of "".
	ScaleDownIdleOnly ScaleDown = "IdleOnly"
	// ScaleDownGraceful removes by number: every pod is trusted to finish its jobs when it is
	// stopped.
	ScaleDownGraceful ScaleDown = "Graceful"
)

// Policy is what the user wants, at this moment: schedules have already raised the floor or lowered
// the ceiling. The zero value of a field means its default.
type Policy struct {
	// MinReplicas and MaxReplicas bound every decision, whatever else is wanted or unknown. A
	// maximum below the minimum counts as the minimum.
	MinReplicas, MaxReplicas int32
	// Concurrency is how many jobs one pod runs at once; 0 means 1.
	Concurrency int32
	// TargetWait is how soon a queued job should start; 0 means 30 s, or no target wait if
	// JobsPerReplica is set.
	TargetWait time.Duration
	// JobsPerReplica is how many queued jobs a replica may have; 0 means no limit. With TargetWait
	// too, the larger result wins.
	JobsPerReplica int32
	// JobTimeHint is the assumed job time until one was measured; 0 means no hint: the target wait
	// is used.
	JobTimeHint time.Duration
	// Tick is the time between two decisions (the poll period of the pool); 0 means 5 s.
	Tick time.Duration
	// Idle is how long a pool must have been empty and idle before its last replicas are removed; 0
	// means 30 s. It lengthens the law's own window, never shortens it.
	Idle time.Duration
	// Mode says who decides, ManualReplicas how many in ModeManual.
	Mode           Mode
	ManualReplicas int32
	// ScaleDown says which pods may be removed.
	ScaleDown ScaleDown
	// Behavior limits how fast replicas change; nil leaves it to the law.
	Behavior *Behavior
	// Fallback says what to do while no job server answers; nil holds the replicas as they are.
	Fallback *Fallback
	// Drain is how long a terminating pod may finish its jobs. With a concurrency above 1, busy
	// pods are removed only if it exceeds the longest job time measured; 0 means unknown, and then
	// they are not.
	Drain time.Duration
}

// FallbackPolicy says what a Fallback does.
type FallbackPolicy string

const (
	FallbackHold FallbackPolicy = "Hold" // leave the replicas as they are (also the meaning of "")
	// exactly Replicas, as the user ordered: the one case in which job servers that don't answer
	// may scale a pool down
	FallbackStatic  FallbackPolicy = "Static"
	FallbackAtLeast FallbackPolicy = "AtLeast" // Replicas or more
)

// Fallback is what to do when no job server has answered for the time After.
type Fallback struct {
	After    time.Duration
	Policy   FallbackPolicy
	Replicas int32
}

// Behavior has the meaning of autoscaling/v2 HorizontalPodAutoscalerBehavior, but an unset field
// means no limit of that kind rather than HPA's default: the law has windows of its own. A nil rule
// leaves that direction to the law.
type Behavior struct {
	ScaleUp, ScaleDown *ScalingRules
}

// ScalingRules limit the change in one direction.
type ScalingRules struct {
	// Stabilization is the time over which the safest result is used: scaling up the smallest,
	// scaling down the largest.
	Stabilization time.Duration
	// Select says which of several policies counts; "" means SelectMax.
	Select SelectPolicy
	// Policies bound the change within a period. None means no bound.
	Policies []ScalingPolicy
	// Tolerance is the part of the present replicas (0.1 = 10%) by which the result must differ to
	// be applied. A pool's first and last replica are exempt.
	Tolerance float64
}

// SelectPolicy chooses among several ScalingPolicy.
type SelectPolicy string

const (
	SelectMax      SelectPolicy = "Max"      // the one that allows the largest change
	SelectMin      SelectPolicy = "Min"      // the one that allows the smallest change
	SelectDisabled SelectPolicy = "Disabled" // no change in this direction
)

// PolicyType is the unit of a ScalingPolicy.
type PolicyType string

const (
	PolicyPods    PolicyType = "Pods"
	PolicyPercent PolicyType = "Percent"
)

// ScalingPolicy allows a change of Value pods or percent within each Period.
type ScalingPolicy struct {
	Type   PolicyType
	Value  int32
	Period time.Duration
}
