// Package workerruntime is gearman-worker: it takes jobs from Gearman job servers by gearman/worker
// and has them done by a command, by long-lived processes or by an HTTP service (execmode,
// streammode, httpmode).
//
// Main is the program. A run owns these goroutines and waits for all of them: the library's worker,
// one for each handler that has processes or connections to keep, one each for signals, orphans,
// telemetry and the HTTP endpoints. Running jobs are told to end only by the job timeout, the drain
// timeout or a second signal.
package workerruntime
