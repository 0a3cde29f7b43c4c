package scaling

import "time"

// Sample is what the job servers and the pods say at one moment. Counts are sums over the job
// servers that answered, and over the last good answer of those that are stale but not yet given
// up.
type Sample struct {
	// Functions of the pool, in a stable order (sorted by name is best: then each is found at
	// once).
	Functions []FunctionSample
	// Pods of the pool: every pod its labels select, terminating ones too.
	Pods []PodSample
	// Replicas is the present spec.replicas of the Deployment or StatefulSet.
	Replicas int32
	// Rollout is true while old and new pods are being exchanged: nothing shrinks.
	Rollout bool
	// Partial is true where a job server is missing or stale, so that the sums are a lower bound:
	// up is allowed, down is not.
	Partial bool
	// Answering and Silent are how many job servers answered and how many did not (and are not
	// given up). Where some are silent, their queues are taken to have grown as those of the
	// others; with both at 0 their last answers just stand.
	Answering, Silent int32
	// NoAnswer is for how long not a single job server has answered; 0 while at least one does. It
	// starts the fallback.
	NoAnswer time.Duration
	// PossibleRestart is true in the first sample after a connection to a job server was lost: it
	// may have lost its queue while the workers still work.
	PossibleRestart bool
}

// FunctionSample is one function of the pool.
//
// The counters from Ended on come from telemetry, summed over the pool's pods: they only grow while
// the poller's process lives, since it adds each pod's progress and keeps what ended pods had
// counted (a pod's restart starts its own counters anew; the poller takes care of that). Decide
// takes differences; a counter that went down is taken as a new start, with no difference.
type FunctionSample struct {
	Name string
	// Total = queued + running (+ delayed), Running as the job servers count them, over all
	// workers, ours or not. Queued = Total - Running.
	Total, Running int64
	// SilentQueued is the part of the queue that stands in last answers of job servers that are
	// silent now.
	SilentQueued int64
	// LongestQueue is the largest queue that one of the answering job servers has; 0 where there is
	// only one. Jobs at a server with a longer queue wait for longer than the sum tells.
	LongestQueue int64
	// Busy is how many slots of the pool's own pods that are not terminating work on this function,
	// Draining the same of its terminating pods; by telemetry.
	Busy, Draining int64
	// Ended is how many jobs ended well, EndedSeconds how long those took together.
	Ended        int64
	EndedSeconds float64
	// Failed and Requeued count jobs that ended otherwise: told to have failed, or given back to
	// the job server.
	Failed, Requeued int64
	// BusySeconds is all working time: ended well or not, and what the running jobs have taken up
	// to now.
	BusySeconds float64
	// NotRunnable is the verdict of the last probe: the backlog of this function isn't handed to a
	// free worker (delayed, cancelled, abandoned).
	NotRunnable bool
	// Runnable is the opposite verdict: a job server has a job of this function for a worker that
	// asks. Neither is set without a verdict.
	Runnable bool
}

// PodSample is one pod of the pool.
type PodSample struct {
	Name string
	// Created is the pod's creation time; zero where only the numbers of pods are known. Registered
	// is when it was first seen as a worker at a job server (telemetry), or else became ready; zero
	// before that.
	Created, Registered time.Time
	// Ready: may work. Terminating: has a deletion time stamp.
	Ready, Terminating bool
	// WasReady: it was ready before. Idle slots of a pod that no longer is aren't free: its node
	// may be dead.
	WasReady bool
	// Gated: a scheduling gate holds it back, so that it is starting, however old it is.
	Gated bool
	// Broken: it can't start for a reason that has nothing to do with its boot time (its image
	// can't be pulled, it can't be scheduled, it crashes again and again).
	Broken bool
	// TakesNoJobs: its worker reports that it cannot run jobs and takes none. It has no slots until
	// that ends.
	TakesNoJobs bool
	// Telemetry: its client id was seen. Busy and Capacity are its slots by telemetry (Capacity 0:
	// the pool's concurrency).
	Telemetry      bool
	Busy, Capacity int32
}
