// Package outcome counts what becomes of a pool's jobs: completed, failed, requeued. It keeps the last hour and reports
// whether jobs fail more than usual.
//
// The counts come from the workers' telemetry (internal/telemetry). The package is pure: it has no clock, no goroutine
// and no I/O.
package outcome
