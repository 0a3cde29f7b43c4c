package workload

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// DeletionCostAnnotation tells the ReplicaSet controller which pods to remove first.
const DeletionCostAnnotation = "controller.kubernetes.io/pod-deletion-cost"

// Pod is the state of one pod of a pool.
type Pod struct {
	Name, UID, IP string
	Created       time.Time
	Ready         bool
	ReadySince    time.Time
	Terminating   bool
	Pending       bool // its phase is Pending; Unreported: the kubelet no longer reports it
	Unreported    bool
	Trouble       Trouble
	Cost          int32
	Marks         PodMarks
}

// PodMarks is what the removal rule needs of a pod and only a whole pod shows.
type PodMarks struct {
	// Unowned: the workload does not control it, though it carries its labels.
	Unowned bool
	// Unassigned: it has no node. Gated: a scheduling gate blocks it.
	Unassigned, Gated bool
	// Stopped: its worker container is certainly not running. WasReady: it is not ready, but was
	// since its container started.
	Stopped, WasReady bool
	// HostNetwork: its address is its node's, which other pods may share.
	HostNetwork bool
}

// podMarks are the names of the marks, for the cache to keep them as one text.
var podMarks = []struct {
	name string
	mark func(*PodMarks) *bool
}{
	{"unowned", func(m *PodMarks) *bool { return &m.Unowned }},
	{"unassigned", func(m *PodMarks) *bool { return &m.Unassigned }},
	{"gated", func(m *PodMarks) *bool { return &m.Gated }},
	{"stopped", func(m *PodMarks) *bool { return &m.Stopped }},
	{"was-ready", func(m *PodMarks) *bool { return &m.WasReady }},
	{"host-network", func(m *PodMarks) *bool { return &m.HostNetwork }},
}

// String returns the names of the marks; empty if there are none.
func (m PodMarks) String() string {
	var set []string
	for _, row := range podMarks {
		if *row.mark(&m) {
			set = append(set, row.name)
		}
	}
	return strings.Join(set, ",")
}

// ParsePodMarks parses the result of String.
func ParsePodMarks(s string) (m PodMarks) {
	for name := range strings.SplitSeq(s, ",") {
		for _, row := range podMarks {
			if row.name == name {
				*row.mark(&m) = true
			}
		}
	}
	return m
}

// MarksOf reads a whole pod's marks. owner is the name of the Deployment whose ReplicaSets control
// its pods.
func MarksOf(p *corev1.Pod, owner string) PodMarks {
	c := metav1.GetControllerOfNoCopy(p)
	m := PodMarks{
		Unowned:    c == nil || c.Kind == "ReplicaSet" && c.Name != owner+"-"+p.Labels["pod-template-hash"],
		Unassigned: p.Spec.NodeName == "", HostNetwork: p.Spec.HostNetwork,
	}
	ready := time.Time{}
	isReady := false
	for _, cond := range p.Status.Conditions {
		switch {
		case cond.Type == corev1.PodReady:
			ready, isReady = cond.LastTransitionTime.Time, cond.Status == corev1.ConditionTrue
		case cond.Type == corev1.PodScheduled && cond.Status == corev1.ConditionFalse:
			m.Gated = cond.Reason == corev1.PodReasonSchedulingGated
		}
	}
	started, running, worker := p.CreationTimestamp.Time, false, false
	for i := range p.Status.ContainerStatuses {
		s := &p.Status.ContainerStatuses[i]
		if r := s.State.Running; r != nil {
			if !running || r.StartedAt.Time.Before(started) {
				started = r.StartedAt.Time
			}
			running = true
		} else if s.Name == workerContainer {
			worker = true
		}
	}
	m.Stopped = len(p.Status.ContainerStatuses) > 0 && (!running || worker)
	// A pod that was never ready has been unready since before its containers ran.
	m.WasReady = !isReady && p.Status.Phase != corev1.PodPending && ready.After(started)
	return m
}

// OfPod reads a pod; trouble and marks are the results of TroubleOf and MarksOf, which the cache
// keeps instead of their inputs.
func OfPod(p *corev1.Pod, trouble Trouble, marks PodMarks) Pod {
	q := Pod{
		Name: p.Name, UID: string(p.UID), IP: p.Status.PodIP, Created: p.CreationTimestamp.Time,
		Terminating: p.DeletionTimestamp != nil, Trouble: trouble, Cost: deletionCost(p), Marks: marks,
		Pending:    p.Status.Phase == corev1.PodPending || p.Status.Phase == "",
		Unreported: p.Status.Phase == corev1.PodUnknown,
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
	// Of a Deployment's ReplicaSets only the names are known, unless they are read.
	return c.Kind == "ReplicaSet" && c.Name == ref.Name+"-"+p.Labels["pod-template-hash"]
}
