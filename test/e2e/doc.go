// Package e2e asserts on a real cluster what the project promises: the whole way from zero to zero,
// and that nothing that the operator does ends a running job. Run it by make e2e; the tests are
// behind the build tag e2e.
//
// Each test has a namespace of its own, so that they run side by side; those that disturb the one
// operator do it one after the other.
package e2e
