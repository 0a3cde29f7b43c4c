// Package world runs the whole product under virtual time: the real operator, poller, law, client
// library and workers against a played Kubernetes and in-memory job servers, with faults that
// follow from a seed. It judges what happened by a few invariants. docs/testing.md says how to run
// it and how to read what it reports.
package world
