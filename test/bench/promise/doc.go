// Package promise compares the operator's count of jobs that start late with the waits that each
// job's submitter knows, in the simulator. `make bench-promise` runs it.
package promise
