package controllers

import (
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// cachedDeployment is how the cache keeps a Deployment: in less than a third of the memory, most of
// which even an empty pod template takes. Only the cache knows it: the copy that its readers get is
// a Deployment.
type cachedDeployment struct {
	metav1.ObjectMeta

	inputs, runtimeImage, appliedFields, ownedFields string

	replicas    *int32
	ownReplicas bool
	selector    *metav1.LabelSelector // nil if the pool owns it
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
		workload.FieldsAnnotation:     c.appliedFields,
		string(annotationOwnedFields): c.ownedFields,
	} {
		if value != "" {
			d.Annotations[key] = value
		}
	}
	if c.ownReplicas {
		d.Annotations[string(annotationOwnReplicas)] = "true"
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
	intern(&out.runtimeImage)
	intern(&out.appliedFields)
	intern(&out.ownedFields)
	if owner := metav1.GetControllerOfNoCopy(d); owner == nil || owner.Kind != "GearmanWorkerPool" {
		out.selector = d.Spec.Selector // the selector of a pool's own Deployment is known
	}
	for _, c := range s.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure {
			out.failure = &appsv1.DeploymentCondition{Type: c.Type, Status: c.Status, Message: c.Message}
		}
	}
	return out, nil
}
