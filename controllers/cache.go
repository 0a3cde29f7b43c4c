package controllers

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// liveFieldsAnnotation exists in the cache only: the hash of the fields that the operator owns, which the cache drops.
const liveFieldsAnnotation = "gearman.dev/live-fields"

// deletionCostAnnotation tells the ReplicaSet controller which pods to remove first.
const deletionCostAnnotation = "controller.kubernetes.io/pod-deletion-cost"

// CacheByObject says how little of each kind the manager's cache keeps: only the pools' pods, without what is not looked at, and
// Deployments and StatefulSets without their templates (10 kB of 10.6 kB).
func CacheByObject() (map[client.Object]cache.ByObject, error) {
	ofPool, err := labels.NewRequirement(v1alpha1.LabelPool, selection.Exists, nil)
	if err != nil {
		return nil, fmt.Errorf("select the pools' pods: %w", err)
	}
	return map[client.Object]cache.ByObject{
		&corev1.Pod{}:         {Label: labels.NewSelector().Add(*ofPool), Transform: stripPod},
		&appsv1.Deployment{}:  {Transform: stripDeployment},
		&appsv1.StatefulSet{}: {Transform: stripStatefulSet},
	}, nil
}

func stripDeployment(obj any) (any, error) {
	d, ok := obj.(*appsv1.Deployment)
	if !ok {
		return obj, nil
	}
	if fields := ownedFields(d.ManagedFields); fields != "" {
		if d.Annotations == nil {
			d.Annotations = map[string]string{}
		}
		d.Annotations[liveFieldsAnnotation] = fields
	}
	delete(d.Annotations, corev1.LastAppliedConfigAnnotation)
	d.ManagedFields = nil
	d.Spec.Template = corev1.PodTemplateSpec{}
	return d, nil
}

func stripStatefulSet(obj any) (any, error) {
	s, ok := obj.(*appsv1.StatefulSet)
	if !ok {
		return obj, nil
	}
	delete(s.Annotations, corev1.LastAppliedConfigAnnotation)
	s.ManagedFields = nil
	s.Spec.Template = corev1.PodTemplateSpec{}
	s.Spec.VolumeClaimTemplates = nil
	return s, nil
}

// stripPod keeps who a pod is, whether it is ready and since when, its address and its deletion cost.
func stripPod(obj any) (any, error) {
	p, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil
	}
	var annotations map[string]string
	if cost, ok := p.Annotations[deletionCostAnnotation]; ok {
		annotations = map[string]string{deletionCostAnnotation: cost}
	}
	var conditions []corev1.PodCondition
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			conditions = []corev1.PodCondition{{Type: c.Type, Status: c.Status, LastTransitionTime: c.LastTransitionTime}}
		}
	}
	out := &corev1.Pod{TypeMeta: p.TypeMeta}
	out.Name, out.Namespace, out.UID, out.ResourceVersion = p.Name, p.Namespace, p.UID, p.ResourceVersion
	out.Labels = map[string]string{v1alpha1.LabelPool: p.Labels[v1alpha1.LabelPool]}
	out.Annotations = annotations
	out.CreationTimestamp, out.DeletionTimestamp = p.CreationTimestamp, p.DeletionTimestamp
	out.Status.Phase, out.Status.PodIP, out.Status.Conditions = p.Status.Phase, p.Status.PodIP, conditions
	out.Status.Reason = string(podTrouble(p))
	return out, nil
}
