// Package e2e asserts the project's promises on a real cluster: the whole way from zero to zero,
// and that nothing that the operator does ends a running job. Run it with make e2e; the tests are
// behind the build tag e2e.
//
// Each test has a namespace of its own, so that the tests run in parallel. Those that disturb the
// one operator run one after the other.
package e2e
