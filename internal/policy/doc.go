// Package policy turns a GearmanWorkerPool's spec and the clock into the policy that the scaling
// law works by: it fills in the defaults that the CRD leaves to code, and evaluates schedules to
// the bounds of the moment.
//
// It is pure and owns no goroutines. The controllers and the simulator share it, so that a
// simulated pool has the meaning of a real one.
package policy
