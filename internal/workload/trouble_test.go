package workload

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestTroubleOf(t *testing.T) {
	t.Parallel()
	waiting := func(reason string) corev1.PodStatus {
		return corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
			{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}},
		}}
	}
	tests := map[string]struct {
		status corev1.PodStatus
		want   Trouble
	}{
		"nothing known":      {},
		"starting":           {status: waiting("ContainerCreating")},
		"initializing":       {status: waiting("PodInitializing")},
		"image not found":    {waiting("ErrImagePull"), TroubleImage},
		"image backs off":    {waiting("ImagePullBackOff"), TroubleImage},
		"crashes":            {waiting("CrashLoopBackOff"), TroubleCrash},
		"missing ConfigMap":  {waiting("CreateContainerConfigError"), TroubleContainer},
		"missing executable": {waiting("RunContainerError"), TroubleContainer},
		"init container": {corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{
			{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "InvalidImageName"}}},
		}}, TroubleImage},
		"no node": {
			corev1.PodStatus{
				Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse}},
			},
			TroubleScheduling,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := TroubleOf(&corev1.Pod{Status: tt.status}); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
