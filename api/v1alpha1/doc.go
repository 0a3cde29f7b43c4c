// Package v1alpha1 holds the GearmanWorkerPool, the API of gearman-operator.
//
// A pool declares which Gearman functions on which job servers are worked by which pods, and between which bounds and by
// which target the number of pods moves. The types carry their validation as CEL rules and OpenAPI bounds; what those
// cannot see (a schedule that no cron parser reads, a podTemplate with unknown fields) is reported in the Stalled condition.
//
// The package imports nothing but apimachinery and k8s.io/api, so that programs can use the types without the operator.
// It owns no goroutines.
//
// +kubebuilder:object:generate=true
// +kubebuilder:ac:generate=true
// +kubebuilder:ac:output:package=applyconfiguration
// +groupName=gearman.dev
package v1alpha1
