package scaling

import "time"

// Phase is the part of a pod's phase that Kubernetes' order of deletion depends on, in that order.
type Phase uint8

// Phases of pods that have not ended.
const (
	PhasePending Phase = iota
	PhaseUnknown
	PhaseRunning
)

// Trouble is why a pod does not start, for a reason that more time alone does not fix.
type Trouble uint8

const (
	TroubleNone          Trouble = iota
	TroubleUnschedulable         // it is unschedulable
	TroubleFailing               // its image, container or configuration fails, or it crashes again and again
	TroubleGated                 // a scheduling gate blocks it (Kueue): it is starting
	TroubleTakesNoJobs           // its worker cannot run jobs and takes none: its circuit breaker is open
	// likewise, because the service that runs the jobs can't be reached: another pod would not
	// reach it either
	TroubleUnreachable
)

// reported reports whether the trouble is the worker's own report, whatever Kubernetes reports
// about the pod.
func (t Trouble) reported() bool { return t == TroubleTakesNoJobs || t == TroubleUnreachable }

// Pod is one pod of a pool as the removal and ordering rules see it. Pods that have ended are left
// out.
type Pod struct {
	UID string
	// Owned: the pool's own workload controls it (by ownerReference). Pods that only carry its
	// labels are not counted.
	Owned, Terminating bool
	// Assigned: it has a node.
	Assigned bool
	Phase    Phase
	// Ready and ReadySince are its Ready condition. WasReady: it was ready at some time, or may
	// have been.
	Ready, WasReady bool
	ReadySince      time.Time
	// Stopped: its worker container is certainly not running.
	Stopped bool
	Created time.Time
	// Ordinal is the number of a StatefulSet's pod.
	Ordinal int32
	// Cost is its deletion cost, as the cache shows it.
	Cost    int32
	Trouble Trouble
	// Heard is the time of the newest job server's answer that contained its telemetry; zero:
	// never. Busy is how many of its slots were busy then, BusySince since when.
	Heard     time.Time
	Busy      int32
	BusySince time.Time
}
