// Package clusterscripts tests the decisions of the scripts of hack/cluster: which cluster the
// commands of this project use, and how they call kind, minikube and k3d. Those need a container
// engine that the tests don't have. Programs with their names replace them on PATH, record how they
// are called, and refuse what the real ones would refuse. The local cluster itself is tested in use
// (test/e2e).
package clusterscripts
