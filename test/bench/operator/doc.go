// Package operator runs the operator for benchmarks: cmd/manager, built as for the image, as a
// process of its own on a control plane of its own, so that its use of resources is separate from
// the benchmark's. The processes end with the test. The package owns no goroutine.
package operator
