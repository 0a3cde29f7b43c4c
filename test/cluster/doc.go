// Package cluster is what the demo and the tests on a real cluster do to it: install the operator
// by its Helm chart, set up a stage (a namespace with a job server and a ledger), submit jobs, look
// at queues, pods and runs. It works on any cluster that a kubeconfig leads to: pods are reached
// through the API server alone.
//
// The goroutines of a Tunnel are its own; Close joins them. Nothing here asserts anything.
package cluster
