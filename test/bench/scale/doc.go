// Package scale measures the operator, as a process of its own, with thousands of pools: on a real
// kube-apiserver and etcd, with the real kube-controller-manager that turns Deployments into pods,
// and ten job servers. There is no kubelet: the benchmark marks pods ready and plays the workers in
// them, with a connection each to their job server that carries their telemetry.
//
// Without BENCH_SCALE_POOLS it runs with a few pools, to show that it works.
package scale
