// Package sim is a discrete-event simulator of job servers, worker pods and what scales them. It
// drives the real internal/scaling code, and beside it other autoscalers written after their own
// documentation, through the same jobs at the same times, so that their waits and worker-hours can
// be compared.
//
// A run owns all its memory, starts no goroutine and reads no clock: the same workload, law and
// seed give the same result. Several runs may go on at once, each on a Simulator of its own.
//
// What it models: jobs with a submit time, a length and a function, on one or more job servers with
// first-in-first-out queues; pods that are created some time after replicas were raised and take
// jobs after a boot time that varies; slots that take the next job the moment they are free; pods
// told to stop that drain; a poll period, telemetry that is older than the poll, an API server that
// takes time; job servers that fall silent, operators that restart, jobs that fail, pods that
// crash, workers that belong to others, jobs with a time before which they may not start. What it
// doesn't: job priorities, network time, and a job server's own limits.
package sim
