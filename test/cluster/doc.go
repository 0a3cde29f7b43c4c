// Package cluster is what the demo and the tests on a real cluster do to it: install the operator
// with its Helm chart, set up a stage (a namespace with a job server and a ledger), submit jobs,
// and read queues, pods and runs. It works on any cluster that a kubeconfig leads to: pods are
// reached only through the API server.
//
// A Tunnel owns its goroutines; Close waits for them. Nothing here asserts anything.
package cluster
