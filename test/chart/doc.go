// Package chart tests what a user installs: the Helm chart in charts/gearman-operator and the
// kustomization in config/. It renders them as a user would (helm, kustomize) and looks at the
// objects, or gives them to a real API server.
//
// The tests find helm in $HELM, which `make test` sets, or in the path; without either they are
// skipped.
package chart
