// Package policy turns a GearmanWorkerPool's spec and the clock into the policy of the scaling law:
// it fills in the defaults that the CRD does not have, and evaluates schedules to the present
// bounds.
//
// It is pure and owns no goroutines. The controllers and the simulator share it, so that a
// simulated pool behaves like a real one.
package policy
