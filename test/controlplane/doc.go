// Package controlplane starts a real etcd, kube-apiserver and kube-controller-manager for tests and
// benchmarks: Deployments get ReplicaSets, ReplicaSets get pods, and objects whose owner is gone
// are garbage-collected. There is no scheduler and no kubelet: pods stay as the API server makes
// them until a test acts as the kubelet.
package controlplane
