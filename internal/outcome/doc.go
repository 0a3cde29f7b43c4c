// Package outcome counts the outcomes of a pool's jobs: completed, failed, requeued, and started in
// time or late. It keeps the last hour and reports whether jobs fail more than usual.
//
// The workers' telemetry counts the outcomes (internal/telemetry). The number of jobs that start
// late is an estimate with bounds (Waits), based on telemetry and on the job servers' reports. The
// package is pure: it has no clock, no goroutine and no I/O.
package outcome
