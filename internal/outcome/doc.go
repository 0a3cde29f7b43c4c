// Package outcome counts what becomes of a pool's jobs: completed, failed, requeued, and started in
// time or late. It keeps the last hour and reports whether jobs fail more than usual.
//
// The outcomes are counted by the workers' telemetry (internal/telemetry). Which jobs start late is
// an estimate from telemetry and from the job servers' figures, with bounds (Waits). The package is
// pure: it has no clock, no goroutine and no I/O.
package outcome
