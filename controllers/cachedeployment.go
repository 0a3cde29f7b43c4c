package controllers

import (
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// cachedDeployment is how the cache keeps a Deployment: less than a third of one, whose pod
// template takes its room even if it is empty. Nothing else needs to know of it: the copy that the
// cache gives its readers is a Deployment.
type cachedDeployment struct {
	metav1.ObjectMeta

	inputs, runtimeImage, appliedFields, ownedFields string

	replicas    *int32
	ownReplicas bool
	selector    *metav1.LabelSelector // nil of a pool's own
	failure     *appsv1.DeploymentCondition

	observedGeneration                             int64
	statusReplicas, readyReplicas, updatedReplicas int32
}

// GetObjectKind is part of runtime.Object.
func (*cachedDeployment) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject returns the Deployment.
func (c *cachedDeployment) DeepCopyObject() runtime.Object {
	d := &appsv1.Deployment{ObjectMeta: *c.ObjectMeta.DeepCopy()}
	d.Annotations = map[string]string{}
	for key, value := range map[string]string{
		workload.InputsAnnotation: c.inputs, workload.RuntimeImageAnnotation: c.runtimeImage,
		workload.FieldsAnnotation: c.appliedFields,
		string(noteOwnedFields):   c.ownedFields,
	} {
		if value != "" {
			d.Annotations[key] = value
		}
	}
	if c.ownReplicas {
		d.Annotations[string(noteOwnReplicas)] = "true"
	}
	if c.replicas != nil {
		d.Spec.Replicas = new(*c.replicas)
	}
	d.Spec.Selector = c.selector.DeepCopy()
	d.Status = appsv1.DeploymentStatus{
		ObservedGeneration: c.observedGeneration, Replicas: c.statusReplicas, ReadyReplicas: c.readyReplicas,
		UpdatedReplicas: c.updatedReplicas,
	}
	if c.failure != nil {
		d.Status.Conditions = []appsv1.DeploymentCondition{*c.failure.DeepCopy()}
	}
	return d
}

// stripDeployment keeps what gatherWorkload reads.
func stripDeployment(obj any) (any, error) {
	d, ok := obj.(*appsv1.Deployment)
	if !ok { // stripped before: an informer may do it twice
		return obj, nil
	}
	s := &d.Status
	out := &cachedDeployment{
		ObjectMeta:         stripMeta(&d.ObjectMeta),
		inputs:             d.Annotations[workload.InputsAnnotation],
		runtimeImage:       d.Annotations[workload.RuntimeImageAnnotation],
		appliedFields:      d.Annotations[workload.FieldsAnnotation],
		ownedFields:        workload.OwnedFields(d.ManagedFields, string(OwnerMain)),
		replicas:           d.Spec.Replicas,
		ownReplicas:        workload.OwnsReplicas(d.ManagedFields, string(OwnerScale)),
		observedGeneration: s.ObservedGeneration, statusReplicas: s.Replicas, readyReplicas: s.ReadyReplicas,
		updatedReplicas: s.UpdatedReplicas,
	}
	one(&out.runtimeImage)
	one(&out.appliedFields)
	one(&out.ownedFields)
	if owner := metav1.GetControllerOfNoCopy(d); owner == nil || owner.Kind != "GearmanWorkerPool" {
		out.selector = d.Spec.Selector // of a pool's own it is known
	}
	for _, c := range s.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure {
			out.failure = &appsv1.DeploymentCondition{Type: c.Type, Status: c.Status, Message: c.Message}
		}
	}
	return out, nil
}
