// Package scale measures the operator, as a process of its own, with thousands of pools. It uses a
// real kube-apiserver and etcd, the real kube-controller-manager, which turns Deployments into
// pods, and ten job servers. There is no kubelet: the benchmark marks pods ready and acts as their
// workers, each with a connection to its job server that carries its telemetry.
//
// Without BENCH_SCALE_POOLS it runs with a few pools, to show that it works.
package scale
