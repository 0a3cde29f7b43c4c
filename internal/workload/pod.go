package workload

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// DeletionCostAnnotation tells the ReplicaSet controller which pods to remove first.
const DeletionCostAnnotation = "controller.kubernetes.io/pod-deletion-cost"

// Pod is what is known of one pod of a pool.
type Pod struct {
	Name, UID, IP string
	Created       time.Time
	Ready         bool
	ReadySince    time.Time
	Terminating   bool
	Trouble       Trouble
	Cost          int32
}

// OfPod reads a pod; trouble is what TroubleOf found, which the cache keeps in place of what it was read from.
func OfPod(p *corev1.Pod, trouble Trouble) Pod {
	q := Pod{
		Name: p.Name, UID: string(p.UID), IP: p.Status.PodIP, Created: p.CreationTimestamp.Time,
		Terminating: p.DeletionTimestamp != nil, Trouble: trouble, Cost: deletionCost(p),
	}
	for _, cond := range p.Status.Conditions {
		if cond.Type == corev1.PodReady && cond.Status == corev1.ConditionTrue {
			q.Ready, q.ReadySince = true, cond.LastTransitionTime.Time
		}
	}
	return q
}

func deletionCost(p *corev1.Pod) int32 {
	n, err := strconv.ParseInt(p.Annotations[DeletionCostAnnotation], 10, 32)
	if err != nil {
		return 0 // as the ReplicaSet controller reads it
	}
	return int32(n)
}

// Ended reports whether all containers of a pod have ended for good.
func Ended(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// SortPods sorts by age, the oldest first.
func SortPods(pods []Pod) {
	slices.SortFunc(pods, func(a, b Pod) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name))
	})
}

// BelongsTo reports whether a pod that a target's selector found is the target's.
func BelongsTo(p *corev1.Pod, ref *v1alpha1.TargetRef, uid string) bool {
	c := metav1.GetControllerOf(p)
	switch {
	case c == nil:
		return false
	case ref.Kind == "StatefulSet":
		return string(c.UID) == uid
	}
	// Of a Deployment's ReplicaSets only the names are known, without reading them.
	return c.Kind == "ReplicaSet" && c.Name == ref.Name+"-"+p.Labels["pod-template-hash"]
}
