// Package workerruntime is gearman-worker: it takes jobs from Gearman job servers with
// gearman/worker and runs them with a command, with long-lived processes or with an HTTP service
// (execmode, streammode, httpmode).
//
// Main is the program. A run owns these goroutines and waits for all of them: the library's worker,
// one for each handler that has processes or connections to maintain, and one each for signals,
// orphans, telemetry and the HTTP endpoints. Only the job timeout, the drain timeout or a second
// signal ends running jobs.
package workerruntime
