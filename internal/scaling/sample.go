package scaling

import "time"

// Sample is what the job servers and the pods report at one moment. Counts are sums over the job
// servers that answered, and over the last good answer of those that are stale but not given up
// yet.
type Sample struct {
	// Functions of the pool, in a stable order (if sorted by name, each is found at once).
	Functions []FunctionSample
	// Pods of the pool: every pod its labels select, terminating ones too.
	Pods []PodSample
	// Replicas is the present spec.replicas of the Deployment or StatefulSet.
	Replicas int32
	// Rollout is true while a rollout replaces pods: the pool is not scaled down.
	Rollout bool
	// Partial is true if a job server is missing or stale, so that the sums are a lower bound:
	// scaling up is allowed, scaling down is not.
	Partial bool
	// Answering and Silent are how many job servers answered and how many did not (and are not
	// given up). The queues of silent ones are assumed to grow like those of the others; with both
	// at 0, the last answers are used as they are.
	Answering, Silent int32
	// NoAnswer is for how long not a single job server has answered; 0 while at least one does. It
	// starts the fallback.
	NoAnswer time.Duration
	// PossibleRestart is true in the first sample after a connection to a job server was lost: it
	// may have lost its queue while the workers still run its jobs.
	PossibleRestart bool
}

// FunctionSample is one function of the pool.
//
// The counters from Ended on come from telemetry, summed over the pool's pods: they only rise while
// the poller's process lives, since it adds each pod's progress and keeps the counts of ended pods
// (it also handles the counters that a pod's restart resets). Decide uses differences; a counter
// that fell was reset, and its difference is 0.
type FunctionSample struct {
	Name string
	// Total = queued + running (+ delayed), Running as the job servers count them, over all
	// workers, ours or not. Queued = Total - Running.
	Total, Running int64
	// SilentQueued is the part of the queue that comes from the last answers of job servers that
	// are silent now.
	SilentQueued int64
	// LongestQueue is the largest queue at one of the answering job servers; 0 if there is only
	// one. Jobs at a server with a longer queue wait longer than the sum suggests.
	LongestQueue int64
	// Busy is how many slots of the pool's own pods that are not terminating run a job of this
	// function, Draining the same of its terminating pods; by telemetry.
	Busy, Draining int64
	// Ended is how many jobs completed, EndedSeconds their total time.
	Ended        int64
	EndedSeconds float64
	// Failed and Requeued count the jobs that failed, and those that were requeued at the job
	// server.
	Failed, Requeued int64
	// BusySeconds is all busy time: of completed, failed and requeued jobs, and what the running
	// jobs have taken up to now.
	BusySeconds float64
	// NotRunnable is the verdict of the last probe: the backlog of this function isn't assigned to
	// a free worker (delayed, cancelled, abandoned).
	NotRunnable bool
	// Runnable is the opposite verdict: a job server has a job of this function for a worker that
	// polls. Neither is set without a verdict.
	Runnable bool
}

// PodSample is one pod of the pool.
type PodSample struct {
	Name string
	// Created is the pod's creation time; zero if only the numbers of pods are known. Registered is
	// when it was first seen as a worker at a job server (telemetry), or else became ready; zero
	// before that.
	Created, Registered time.Time
	// Ready: may run jobs. Terminating: has a deletion timestamp.
	Ready, Terminating bool
	// WasReady: it was ready before. Idle slots of a pod that is no longer ready aren't free: its
	// node may be dead.
	WasReady bool
	// Gated: a scheduling gate blocks it, so that it is starting, however old it is.
	Gated bool
	// Broken: it can't start for a reason that has nothing to do with its boot time (its image
	// can't be pulled, it can't be scheduled, it crashes again and again).
	Broken bool
	// TakesNoJobs: its worker reports that it cannot run jobs and takes none. It has no slots until
	// that ends.
	TakesNoJobs bool
	// Telemetry: its client ID was seen. Busy and Capacity are its slots by telemetry (Capacity 0:
	// the pool's concurrency).
	Telemetry      bool
	Busy, Capacity int32
}
