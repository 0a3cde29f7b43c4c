// Package chart tests what a user installs: the Helm chart in charts/gearman-operator and the
// kustomization in config/. It renders them as a user would (helm, kustomize) and checks the
// objects, or applies them to a real API server.
//
// The tests find helm in $HELM, which `make test` sets, or in the path. Without either they are
// skipped.
package chart
