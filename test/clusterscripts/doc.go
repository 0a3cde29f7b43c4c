// Package clusterscripts tests what the scripts of hack/cluster decide: which cluster the commands
// of this project work on, and how they call kind, minikube and k3d. Those need a container engine
// that the tests don't have, so programs of their names stand in for them on PATH, which write down
// how they are called and refuse what the real ones would refuse. The local cluster itself is
// tested by being used (test/e2e).
package clusterscripts
