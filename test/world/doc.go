// Package world runs the whole product under virtual time: the real operator, poller, law, client
// library and workers with a simulated Kubernetes and in-memory job servers, and with faults that
// follow from a seed. It checks the run against a few invariants. docs/testing.md describes how to
// run it and how to read its report.
package world
