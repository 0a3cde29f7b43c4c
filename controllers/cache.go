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

// cacheNote is something that a transform computed from parts of an object that the cache then
// drops. An informer keeps only the object, so the note travels as an annotation that exists
// nowhere else: transforms keep none of the user's annotations of that name.
type cacheNote string

const (
	// noteTrouble is what keeps a pod from starting.
	noteTrouble cacheNote = "cache.gearman.dev/trouble"
	// noteMarks is what the removal of pods goes by.
	noteMarks cacheNote = "cache.gearman.dev/marks"
	// noteOwnedFields is the hash of the fields that the operator owns of a Deployment.
	noteOwnedFields cacheNote = "cache.gearman.dev/owned-fields"
	// noteOwnReplicas is there if the operator was the last to change the replicas of a Deployment
	// or StatefulSet.
	noteOwnReplicas cacheNote = "cache.gearman.dev/own-replicas"
)

func (n cacheNote) put(annotations map[string]string, value string) {
	if value != "" {
		annotations[string(n)] = value
	}
}

// cachedTrouble is what keeps a pod of the cache from starting.
func cachedTrouble(p *corev1.Pod) workload.Trouble {
	return workload.Trouble(p.Annotations[string(noteTrouble)])
}

// cachedMarks is what the removal of a pod of the cache goes by.
func cachedMarks(p *corev1.Pod) workload.PodMarks {
	return workload.ParsePodMarks(p.Annotations[string(noteMarks)])
}

// cachedOwnReplicas reports whether the operator was the last to change the replicas of an object
// of the cache.
func cachedOwnReplicas(o metav1.Object) bool {
	return o.GetAnnotations()[string(noteOwnReplicas)] != ""
}

// cachedOwnedFields is the hash of the fields that the operator owns of a Deployment of the cache.
func cachedOwnedFields(d *appsv1.Deployment) string { return d.Annotations[string(noteOwnedFields)] }

// CacheByObject says how little of each kind the manager's cache keeps: of the pools' pods,
// Deployments and StatefulSets only what is looked at (a Deployment takes 10.6 kB, most of it its
// template), of the pools all but what nobody reads again. Pods and StatefulSets are read and never
// changed, so that they need no copy for each reader.
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

// one makes equal strings share their memory: thousands of pools have the same images, job servers,
// conditions and labels.
func one[S ~string](s *S) { *s = S(unique.Make(string(*s)).Value()) }

// stripMeta keeps which object it is and whose.
func stripMeta(m *metav1.ObjectMeta) metav1.ObjectMeta {
	out := metav1.ObjectMeta{
		Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion, Generation: m.Generation,
		CreationTimestamp: m.CreationTimestamp,
		DeletionTimestamp: m.DeletionTimestamp, OwnerReferences: slices.Clone(m.OwnerReferences),
	}
	one(&out.Namespace)
	for i := range out.OwnerReferences {
		one(&out.OwnerReferences[i].APIVersion)
		one(&out.OwnerReferences[i].Kind)
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
		out.Annotations = map[string]string{string(noteOwnReplicas): "true"}
	}
	out.Spec.Replicas, out.Spec.Selector = s.Spec.Replicas, s.Spec.Selector
	st := &s.Status
	out.Status.ObservedGeneration = st.ObservedGeneration
	out.Status.Replicas, out.Status.ReadyReplicas = st.Replicas, st.ReadyReplicas
	out.Status.CurrentRevision, out.Status.UpdateRevision = st.CurrentRevision, st.UpdateRevision
	return out, nil
}

// stripPod keeps who a pod is, whether it is ready and since when, its address, its deletion cost,
// what keeps it from starting and what its removal goes by.
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
		one(&marks)
		annotations = map[string]string{}
		noteTrouble.put(annotations, string(trouble))
		noteMarks.put(annotations, marks)
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
