// Package controlplane starts a real etcd, kube-apiserver and kube-controller-manager for tests and
// benchmarks: Deployments get ReplicaSets and those get pods, and what belongs to something that is
// gone is collected. There is no scheduler and no kubelet: pods stay as the API server makes them
// until a test plays the kubelet.
package controlplane
