// Package operator runs the operator for benchmarks: cmd/manager, built as the image has it, as a
// process of its own on a control plane of its own, so that what it uses can be told from what the
// benchmark uses. The processes end with the test. It has no goroutine.
package operator
