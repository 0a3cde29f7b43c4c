package controllers

import (
	"fmt"
	"slices"
	"unique"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// cacheAnnotation is a value that a transform computed from parts of an object that the cache then
// drops. An informer keeps only the object, so the value is stored in an annotation that exists
// only in the cache: transforms drop the user's annotations of that name.
type cacheAnnotation string

const (
	// annotationTrouble is what keeps a pod from starting.
	annotationTrouble cacheAnnotation = "cache.gearman.dev/trouble"
	// annotationMarks is what the removal rule needs of a pod.
	annotationMarks cacheAnnotation = "cache.gearman.dev/marks"
	// annotationOwnedFields is the hash of the fields that the operator owns of a Deployment.
	annotationOwnedFields cacheAnnotation = "cache.gearman.dev/owned-fields"
	// annotationOwnReplicas is set if the operator was the last to change the replicas of a
	// Deployment or StatefulSet.
	annotationOwnReplicas cacheAnnotation = "cache.gearman.dev/own-replicas"
)

func (n cacheAnnotation) put(annotations map[string]string, value string) {
	if value != "" {
		annotations[string(n)] = value
	}
}

// cachedTrouble returns what keeps a cached pod from starting.
func cachedTrouble(p *corev1.Pod) workload.Trouble {
	return workload.Trouble(p.Annotations[string(annotationTrouble)])
}

// cachedMarks returns what the removal rule needs of a cached pod.
func cachedMarks(p *corev1.Pod) workload.PodMarks {
	return workload.ParsePodMarks(p.Annotations[string(annotationMarks)])
}

// cachedOwnReplicas reports whether the operator was the last to change the replicas of a cached
// object.
func cachedOwnReplicas(o metav1.Object) bool {
	return o.GetAnnotations()[string(annotationOwnReplicas)] != ""
}

// cachedOwnedFields returns the hash of the fields that the operator owns of a cached Deployment.
func cachedOwnedFields(d *appsv1.Deployment) string {
	return d.Annotations[string(annotationOwnedFields)]
}

// CacheByObject configures what the manager's cache keeps of each kind: only the fields that are
// read of the pools' pods, Deployments and StatefulSets (a Deployment takes 10.6 kB, most of it its
// template), and of the pools all but what is never read. Pods and StatefulSets are never changed,
// so readers need no copies.
func CacheByObject() (map[client.Object]cache.ByObject, error) {
	ofPool, err := labels.NewRequirement(v1alpha1.LabelPool, selection.Exists, nil)
	if err != nil {
		return nil, fmt.Errorf("select the pools' pods: %w", err)
	}
	return map[client.Object]cache.ByObject{
		&v1alpha1.GearmanWorkerPool{}: {Transform: stripPool},
		&corev1.Pod{}: {
			Label: labels.NewSelector().Add(*ofPool), Transform: stripPod, UnsafeDisableDeepCopy: new(true),
		},
		&appsv1.Deployment{}:  {Transform: stripDeployment},
		&appsv1.StatefulSet{}: {Transform: stripStatefulSet, UnsafeDisableDeepCopy: new(true)},
	}, nil
}

// intern makes equal strings share their memory: thousands of pools have the same images, job
// servers, conditions and labels.
func intern[S ~string](s *S) { *s = S(unique.Make(string(*s)).Value()) }

// stripMeta keeps the object's identity and its owners.
func stripMeta(m *metav1.ObjectMeta) metav1.ObjectMeta {
	out := metav1.ObjectMeta{
		Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion, Generation: m.Generation,
		CreationTimestamp: m.CreationTimestamp,
		DeletionTimestamp: m.DeletionTimestamp, OwnerReferences: slices.Clone(m.OwnerReferences),
	}
	intern(&out.Namespace)
	for i := range out.OwnerReferences {
		intern(&out.OwnerReferences[i].APIVersion)
		intern(&out.OwnerReferences[i].Kind)
	}
	return out
}

// stripStatefulSet keeps what gatherWorkload reads.
func stripStatefulSet(obj any) (any, error) {
	s, ok := obj.(*appsv1.StatefulSet)
	if !ok || len(s.Spec.Template.Spec.Containers) == 0 { // stripped before
		return obj, nil
	}
	out := &appsv1.StatefulSet{ObjectMeta: stripMeta(&s.ObjectMeta)}
	if workload.OwnsReplicas(s.ManagedFields, string(OwnerScale)) {
		out.Annotations = map[string]string{string(annotationOwnReplicas): "true"}
	}
	out.Spec.Replicas, out.Spec.Selector = s.Spec.Replicas, s.Spec.Selector
	st := &s.Status
	out.Status.ObservedGeneration = st.ObservedGeneration
	out.Status.Replicas, out.Status.ReadyReplicas = st.Replicas, st.ReadyReplicas
	out.Status.CurrentRevision, out.Status.UpdateRevision = st.CurrentRevision, st.UpdateRevision
	return out, nil
}

// stripPod keeps a pod's identity, whether and since when it is ready, its address, its deletion
// cost, what keeps it from starting and what the removal rule needs.
func stripPod(obj any) (any, error) {
	p, ok := obj.(*corev1.Pod)
	if !ok || len(p.Spec.Containers) == 0 { // stripped before
		return obj, nil
	}
	var annotations map[string]string
	cost, marked := p.Annotations[workload.DeletionCostAnnotation]
	trouble := workload.TroubleOf(p)
	marks := workload.MarksOf(p, p.Labels[v1alpha1.LabelPool]).String()
	if marked || trouble != "" || marks != "" {
		intern(&marks)
		annotations = map[string]string{}
		annotationTrouble.put(annotations, string(trouble))
		annotationMarks.put(annotations, marks)
	}
	if marked {
		annotations[workload.DeletionCostAnnotation] = cost
	}
	var conditions []corev1.PodCondition
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			conditions = []corev1.PodCondition{
				{Type: c.Type, Status: c.Status, LastTransitionTime: c.LastTransitionTime},
			}
		}
	}
	out := &corev1.Pod{TypeMeta: p.TypeMeta}
	out.Name, out.Namespace, out.UID, out.ResourceVersion = p.Name, p.Namespace, p.UID, p.ResourceVersion
	out.Labels = map[string]string{v1alpha1.LabelPool: p.Labels[v1alpha1.LabelPool]}
	out.Annotations = annotations
	out.CreationTimestamp, out.DeletionTimestamp = p.CreationTimestamp, p.DeletionTimestamp
	out.Status.Phase, out.Status.PodIP, out.Status.Conditions = p.Status.Phase, p.Status.PodIP, conditions
	return out, nil
}
