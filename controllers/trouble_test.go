package controllers

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

func TestPodTrouble(t *testing.T) {
	t.Parallel()
	waiting := func(reason string) corev1.PodStatus {
		return corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
			{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}},
		}}
	}
	tests := map[string]struct {
		status corev1.PodStatus
		want   trouble
	}{
		"nothing known":      {},
		"starting":           {status: waiting("ContainerCreating")},
		"initializing":       {status: waiting("PodInitializing")},
		"image not found":    {waiting("ErrImagePull"), troubleImage},
		"image backs off":    {waiting("ImagePullBackOff"), troubleImage},
		"crashes":            {waiting("CrashLoopBackOff"), troubleCrash},
		"missing ConfigMap":  {waiting("CreateContainerConfigError"), troubleContainer},
		"missing executable": {waiting("RunContainerError"), troubleContainer},
		"init container": {corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{
			{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "InvalidImageName"}}},
		}}, troubleImage},
		"no node": {corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse}}}, troubleScheduling},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "worker"}}}, Status: tt.status}
			if got := podTrouble(p); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			out, err := stripPod(p)
			if err == nil {
				out, err = stripPod(out) // as informers do at times
			}
			if err != nil || trouble(out.(*corev1.Pod).Status.Reason) != tt.want {
				t.Errorf("the cache keeps %q, %v; want %q", out.(*corev1.Pod).Status.Reason, err, tt.want)
			}
		})
	}
}

func TestWorstTrouble(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	said := func(tr trouble) []metav1.Condition {
		return []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: reasonPodsNotStarting, Message: notStarting + tr.advice()}}
	}
	tests := map[string]struct {
		pods     []pod
		before   []metav1.Condition
		want     trouble
		wantNone bool
	}{
		"no pods":           {},
		"all well":          {pods: []pod{{ready: true, readySince: now}, {}}},
		"none can start":    {pods: []pod{{trouble: troubleImage}, {}}, want: troubleImage, wantNone: true},
		"one of two":        {pods: []pod{{trouble: troubleImage}, {ready: true, readySince: now}}, want: troubleImage},
		"always the same":   {pods: []pod{{trouble: troubleScheduling}, {trouble: troubleCrash}}, want: troubleScheduling, wantNone: true},
		"one that goes":     {pods: []pod{{trouble: troubleImage, terminating: true}, {}}},
		"between crashes":   {pods: []pod{{ready: true, readySince: now.Add(-calm / 2)}}, before: said(troubleCrash), want: troubleCrash, wantNone: true},
		"mended":            {pods: []pod{{ready: true, readySince: now.Add(-calm)}}, before: said(troubleCrash)},
		"pulled, not ready": {pods: []pod{{}}, before: said(troubleImage), want: troubleImage, wantNone: true},
		"all pods went":     {pods: []pod{{terminating: true}}, before: said(troubleImage)},
		"said something else": {
			pods: []pod{{}}, before: []metav1.Condition{{Type: v1alpha1.ConditionReady, Reason: reasonNoneAnswers}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, none := worstTrouble(tt.pods, tt.before, now)
			if got != tt.want || none != tt.wantNone {
				t.Errorf("got %q, none %t; want %q, %t", got, none, tt.want, tt.wantNone)
			}
		})
	}
}
