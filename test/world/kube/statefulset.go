package kube

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// revision is the revision of all pods of a StatefulSet: its template never changes here.
const revision = "1"

// refusedAgain is how long a StatefulSet waits before it tries to create a refused pod again.
const refusedAgain = 5 * time.Second

// syncSet simulates the StatefulSet controller with the pod management policy Parallel. Pods have
// ordinals, missing ones are created at once, and the highest are removed first. It reports whether
// the StatefulSet exists.
func (w *Workloads) syncSet(ctx context.Context, key types.NamespacedName) bool {
	set, _ := w.cache.informer(KindStatefulSet).get(key).(*appsv1.StatefulSet)
	if set == nil {
		return false
	}
	pods := w.podsOfSet(set)
	have := map[int]bool{}
	for _, p := range pods {
		ordinal := ordinalOf(p)
		have[ordinal] = true
		switch {
		case p.DeletionTimestamp != nil:
		case len(p.OwnerReferences) == 0: // it adopts pods with its name and labels
			_, _ = w.server.edit(KindPod, keyOf(p), "statefulset", func(o client.Object) { // gone already
				o.SetOwnerReferences(ownedBySet(set))
			})
		case ordinal >= int(*set.Spec.Replicas) || ended(p):
			if !sleep(ctx, w.between(set.Name, 500*time.Microsecond, 3*time.Millisecond)) {
				return true
			}
			_ = w.server.delete(KindPod, keyOf(p)) // gone already
		}
	}
	for ordinal := range int(*set.Spec.Replicas) {
		if have[ordinal] {
			continue
		}
		if !sleep(ctx, w.between(set.Name, time.Millisecond, 6*time.Millisecond)) {
			return true
		}
		if err := w.createPod(podOfSet(set, ordinal)); err != nil && !apierrors.IsAlreadyExists(err) {
			w.mark(key, refusedAgain+w.between(set.Name, 0, 50*time.Millisecond))
			break
		}
	}
	w.writeSetStatus(key, set, pods)
	return true
}

// podsOfSet returns a StatefulSet's pods, the highest ordinal first.
func (w *Workloads) podsOfSet(set *appsv1.StatefulSet) []*corev1.Pod {
	all, _ := w.cache.informer(KindPod).list(&client.ListOptions{Namespace: set.Namespace})
	var out []*corev1.Pod
	for _, o := range all {
		if p := o.(*corev1.Pod); p.Labels[DeploymentLabel] == set.Name {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b *corev1.Pod) int { return cmp.Compare(ordinalOf(b), ordinalOf(a)) })
	return out
}

func ordinalOf(p *corev1.Pod) int {
	n, err := strconv.Atoi(p.Name[strings.LastIndexByte(p.Name, '-')+1:])
	if err != nil {
		panic(fmt.Sprintf("kube: pod %s of a StatefulSet has no ordinal", p.Name)) // podOfSet named it
	}
	return n
}

func ownedBySet(set *appsv1.StatefulSet) []metav1.OwnerReference {
	return []metav1.OwnerReference{{
		APIVersion: "apps/v1", Kind: KindStatefulSet, Name: set.Name, UID: set.UID, Controller: new(true),
		BlockOwnerDeletion: new(true),
	}}
}

func podOfSet(set *appsv1.StatefulSet, ordinal int) *corev1.Pod {
	t := &set.Spec.Template
	p := &corev1.Pod{ObjectMeta: *t.ObjectMeta.DeepCopy(), Spec: *t.Spec.DeepCopy()}
	p.Namespace, p.Name = set.Namespace, fmt.Sprintf("%s-%d", set.Name, ordinal)
	p.Labels["controller-revision-hash"], p.Labels[DeploymentLabel] = revision, set.Name
	p.OwnerReferences = ownedBySet(set)
	p.Status.Phase = corev1.PodPending
	return p
}

func (w *Workloads) writeSetStatus(key types.NamespacedName, set *appsv1.StatefulSet, pods []*corev1.Pod) {
	s := appsv1.StatefulSetStatus{
		ObservedGeneration: set.Generation, CurrentRevision: revision, UpdateRevision: revision,
	}
	for _, p := range pods {
		if ended(p) {
			continue
		}
		s.Replicas++
		if isReady(p) && p.DeletionTimestamp == nil {
			s.ReadyReplicas++
			s.AvailableReplicas++
		}
	}
	s.CurrentReplicas, s.UpdatedReplicas = s.Replicas, s.Replicas
	_, _ = w.server.update(KindStatefulSet, key, func(o client.Object) (client.Object, error) { // gone already
		o.(*appsv1.StatefulSet).Status = s
		return o, nil
	})
}
