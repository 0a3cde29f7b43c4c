// Package promise compares what the operator counts of jobs that start late with what the submitter
// of each job knows, in the simulator. `make bench-promise` runs it.
package promise
