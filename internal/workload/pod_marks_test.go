package workload

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestMarksOf(t *testing.T) {
	t.Parallel()
	at := func(s int) metav1.Time { return metav1.Unix(1_700_000_000+int64(s), 0) }
	pod := func(change func(p *corev1.Pod)) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Labels: map[string]string{"pod-template-hash": "abc"}, CreationTimestamp: at(0),
			OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "p-abc", Controller: new(true)}},
		}}
		p.Spec.NodeName = "n"
		p.Status.Phase = corev1.PodRunning
		p.Status.Conditions = []corev1.PodCondition{
			{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: at(1)},
		}
		p.Status.ContainerStatuses = []corev1.ContainerStatus{
			{Name: "worker", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(5)}}},
		}
		change(p)
		return p
	}
	ready := func(p *corev1.Pod, status corev1.ConditionStatus, since int) {
		p.Status.Conditions[0].Status, p.Status.Conditions[0].LastTransitionTime = status, at(since)
	}
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}
	tests := map[string]struct {
		change func(p *corev1.Pod)
		want   PodMarks
	}{
		"runs, never ready": {func(*corev1.Pod) {}, PodMarks{}},
		"ready":             {func(p *corev1.Pod) { ready(p, corev1.ConditionTrue, 9) }, PodMarks{}},
		"was ready":         {func(p *corev1.Pod) { ready(p, corev1.ConditionFalse, 9) }, PodMarks{WasReady: true}},
		"crashed, and its container runs anew": {func(p *corev1.Pod) {
			ready(p, corev1.ConditionFalse, 9)
			p.Status.ContainerStatuses[0].State.Running.StartedAt = at(20)
		}, PodMarks{}},
		"a sidecar crashed": {func(p *corev1.Pod) {
			ready(p, corev1.ConditionFalse, 9)
			p.Status.ContainerStatuses = append(p.Status.ContainerStatuses,
				corev1.ContainerStatus{
					Name:  "proxy",
					State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(20)}},
				})
		}, PodMarks{WasReady: true}},
		"its worker has ended": {func(p *corev1.Pod) {
			ready(p, corev1.ConditionFalse, 9)
			p.Status.ContainerStatuses[0].State = ended
		}, PodMarks{Stopped: true, WasReady: true}},
		"its worker has ended, a sidecar runs": {func(p *corev1.Pod) {
			ready(p, corev1.ConditionFalse, 9)
			p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, p.Status.ContainerStatuses[0])
			p.Status.ContainerStatuses[1].Name, p.Status.ContainerStatuses[0].State = "proxy", ended
		}, PodMarks{Stopped: true, WasReady: true}},
		"gated": {func(p *corev1.Pod) {
			p.Spec.NodeName, p.Status.Phase, p.Status.ContainerStatuses = "", corev1.PodPending, nil
			p.Status.Conditions[0] = corev1.PodCondition{
				Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonSchedulingGated,
			}
		}, PodMarks{Unassigned: true, Gated: true}},
		"unschedulable": {func(p *corev1.Pod) {
			p.Spec.NodeName, p.Status.Phase, p.Status.ContainerStatuses = "", corev1.PodPending, nil
			p.Status.Conditions[0] = corev1.PodCondition{
				Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
			}
		}, PodMarks{Unassigned: true}},
		"an orphan": {func(p *corev1.Pod) { p.OwnerReferences = nil }, PodMarks{Unowned: true}},
		"another Deployment's": {
			func(p *corev1.Pod) { p.OwnerReferences[0].Name = "q-abc" }, PodMarks{Unowned: true},
		},
		"a StatefulSet's, as a target": {
			func(p *corev1.Pod) { p.OwnerReferences[0].Kind, p.OwnerReferences[0].Name = "StatefulSet", "p" },
			PodMarks{},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := pod(tt.change)
			got := MarksOf(p, "p")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if again := ParsePodMarks(got.String()); again != got {
				t.Errorf("%+v is kept as %q and read as %+v", got, got.String(), again)
			}
			if trouble := TroubleOf(p); (trouble == TroubleScheduling) != (name == "unschedulable") {
				t.Errorf("trouble %q", trouble)
			}
		})
	}
}
