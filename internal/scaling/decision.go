package scaling

import "time"

// Decision is how many replicas there should be, and why.
type Decision struct {
	// Replicas is the wanted number, within behavior and bounds. PlanPods limits how far it is
	// applied now: which pods can be removed, and whether more would start. Floor is the part of it
	// that is ordered in full (the minimum, Manual, the fallback), Ceiling what the user allows:
	// pods beyond it are removed even if they run jobs.
	Replicas, Floor, Ceiling int32
	// Drains: pods with several slots finish their jobs well within the time to drain, so they may
	// be stopped while they run jobs.
	Drains bool
	// Start is how long a pod takes to start.
	Start time.Duration
	// Apply is false if nothing may be written (ModeDryRun, ModePaused).
	Apply bool
	// Forced is true if a bound, the user's own number or a static fallback requires fewer
	// replicas.
	Forced bool
	// Reason is one of the Reason constants, Message a fixed sentence for it (for ReasonSteady one
	// of several).
	Reason  Reason
	Message string
	// Wanted is the law's result before behavior and bounds.
	Wanted int32
	// Limited says what kept Replicas from Wanted, "" if nothing did.
	Limited Limit
	// Held is why the pool may not be scaled down now, "" if it may.
	Held Hold
	// NotRunnable: there is a backlog that free workers are not assigned. NotProgressing: jobs run,
	// but none has completed for a long time.
	NotRunnable, NotProgressing bool
	// IdleUnknown: for a while there have been free slots for a whole pod, but without telemetry it
	// is not known which pod is idle.
	IdleUnknown bool
	// OldestWait is the estimated age of the oldest queued job; 0 without one. JobTime is the
	// learnt mean over the pool's functions, by their share of the jobs.
	OldestWait, JobTime time.Duration
	// Terms are the numbers behind the decision.
	Terms Terms
}

// Reason is why a decision is what it is.
type Reason string

const (
	ReasonSteady         Reason = "Steady"         // the present replicas are right
	ReasonFromZero       Reason = "FromZero"       // a job was queued while there were no replicas
	ReasonTargetWait     Reason = "TargetWait"     // up: jobs would start later than the target wait
	ReasonJobsPerReplica Reason = "JobsPerReplica" // up: more queued jobs for each replica than wanted
	// up: a pod starts too slowly for the target wait, so spare ones are kept
	ReasonStaffing Reason = "Staffing"
	ReasonIdle     Reason = "Idle" // down: slots were idle for as long as a start takes
	// down to the minimum: no job was queued, running or finished for the idle time
	ReasonEmpty        Reason = "Empty"
	ReasonBelowMinimum Reason = "BelowMinimum" // up to the minimum
	ReasonAboveMaximum Reason = "AboveMaximum" // down to the maximum
	// it would be scaled down, but the operator hasn't watched for long enough (HoldStart)
	ReasonJustStarted Reason = "JustStarted"
	// it would be scaled down, but a job server may have lost its queue (HoldRestart)
	ReasonRestart Reason = "PossibleRestart"
	// a job server doesn't answer, so it may not be scaled down (HoldPartial)
	ReasonPartialSample   Reason = "PartialSample"
	ReasonRollout         Reason = "Rollout"         // down, but a rollout is under way (HoldRollout)
	ReasonNotRunnable     Reason = "NotRunnable"     // there is a backlog that free workers are not assigned
	ReasonManual          Reason = "Manual"          // the user's own number
	ReasonPaused          Reason = "Paused"          // the user paused it
	ReasonFallback        Reason = "Fallback"        // no job server answers: the fallback's number
	ReasonServersNoAnswer Reason = "ServersNoAnswer" // no job server answers: unchanged
)

// The messages of a steady pool. These are no reasons of their own, since they change with each
// job.
const (
	steadyMessage      = "the replicas suffice for the target, and none was idle for long or beyond the load of the last minutes"
	notIdleLongMessage = "nothing is queued or running, but not for the idle time yet"
	noTelemetryMessage = "without telemetry it is not known which pods are idle, so replicas are removed only while nothing runs"
)

var messages = map[Reason]string{
	ReasonSteady:          steadyMessage,
	ReasonFromZero:        "jobs wait and no replica runs",
	ReasonTargetWait:      "queued jobs would start later than the target wait",
	ReasonJobsPerReplica:  "more jobs are queued for each replica than jobsPerReplica allows",
	ReasonStaffing:        "pods start too slowly for the target wait, so spare slots are kept for the current load",
	ReasonIdle:            "replicas were idle for about as long as starting them takes",
	ReasonEmpty:           "nothing was queued, running or finished for the idle time",
	ReasonBelowMinimum:    "the minimum is above the current replicas",
	ReasonAboveMaximum:    "the maximum is below the current replicas",
	ReasonJustStarted:     "replicas could be removed, but the operator has not watched the pool for a whole window since it started or took the lead",
	ReasonRestart:         "replicas could be removed, but a connection to a job server was lost recently: it may have forgotten jobs that still run",
	ReasonPartialSample:   "a job server does not answer, so no replica is removed: its queue is not known",
	ReasonRollout:         "replicas could be removed, but pods of an older template are being replaced",
	ReasonNotRunnable:     "the backlog is not given to free workers, so more replicas would not help",
	ReasonManual:          "scaling.mode is Manual",
	ReasonPaused:          "scaling.mode is Paused",
	ReasonFallback:        "no job server answers, so the fallback applies",
	ReasonServersNoAnswer: "no job server answers, so the replicas stay as they are",
}

// Limit is what kept the replicas from what the law wants.
type Limit string

const (
	LimitMinimum   Limit = "TooFewReplicas"  // the minimum is higher
	LimitMaximum   Limit = "TooManyReplicas" // the maximum is lower
	LimitScaleUp   Limit = "ScaleUpLimit"    // behavior.scaleUp
	LimitScaleDown Limit = "ScaleDownLimit"  // behavior.scaleDown
)

// Hold is why a pool may not be scaled down.
type Hold string

const (
	HoldStart   Hold = Hold(ReasonJustStarted)   // no full window since the operator started or became leader
	HoldRestart Hold = Hold(ReasonRestart)       // a job server may have restarted and lost its queue
	HoldPartial Hold = Hold(ReasonPartialSample) // a job server doesn't answer
	HoldRollout Hold = Hold(ReasonRollout)       // a rollout replaces the pods
)
