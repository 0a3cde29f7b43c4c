// Package sim is a discrete-event simulator of job servers, worker pods and autoscalers. It runs
// the real internal/scaling code, and other autoscalers written from their documentation, with the
// same jobs at the same times, so that their waits and worker-hours can be compared.
//
// A run owns all its memory, starts no goroutine and reads no clock: the same workload, law and
// seed give the same result. Several runs may be in progress at once, each on a Simulator of its
// own.
//
// It models jobs with a submit time, a length, a function and a priority, on one or more job
// servers with first-in-first-out queues for each priority. Pods are created some time after
// replicas were raised, and take jobs after a boot time that varies. Slots take the next job the
// moment they are free, and pods that are told to stop drain. There is a poll period, telemetry
// that is older than the poll, and a latency of the API server. Job servers fall silent, operators
// restart, jobs fail, pods crash, workers belong to others, and delayed jobs may not start before
// their time. It doesn't model network time or a job server's own limits.
package sim
