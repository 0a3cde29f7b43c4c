// Package local runs pools on one machine, without a cluster: processes instead of pods. It reads
// the same files as a cluster does (internal/poolfile), polls the job servers with the same poller
// (internal/backlog), decides by the same law and ordering rule (internal/scaling), and starts the
// same worker runtime (internal/localworker).
//
// A [Fleet] has one goroutine that owns all of its pools and processes; all events are posted to
// it. Each process has a goroutine that waits for its end. [Fleet.Run] returns when all of them
// have ended.
//
// Workers outlive a fleet that is killed: they detect the end of their standard input, finish their
// jobs and end. The next fleet finds them by their state files, counts them as terminating, and
// never starts a second owner for a pool.
package local
