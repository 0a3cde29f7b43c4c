// Package v1alpha1 holds the GearmanWorkerPool, the API of gearman-operator.
//
// A pool declares Gearman functions, their job servers, the pods that process the jobs, and how the number of pods follows
// the queue. The types carry their validation as CEL rules and OpenAPI bounds. What those can't express (an invalid cron
// expression, a podTemplate with unknown fields) is reported in the Stalled condition.
//
// The package imports nothing but apimachinery and k8s.io/api, so that programs can use the types without the operator.
// It owns no goroutines.
//
// +kubebuilder:object:generate=true
// +kubebuilder:ac:generate=true
// +kubebuilder:ac:output:package=applyconfiguration
// +groupName=gearman.dev
package v1alpha1
