package poolstatus

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

func TestStartTrouble(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	said := []metav1.Condition{
		{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: ReasonPodsNotStarting},
	}
	tests := map[string]struct {
		pods     []workload.Pod
		before   []metav1.Condition
		last     workload.Trouble
		want     workload.Trouble
		wantNone bool
	}{
		"no pods":  {},
		"all well": {pods: []workload.Pod{{Ready: true, ReadySince: now}, {}}},
		"none can start": {
			pods: []workload.Pod{{Trouble: workload.TroubleImage}, {}}, want: workload.TroubleImage, wantNone: true,
		},
		"one of two": {
			pods: []workload.Pod{{Trouble: workload.TroubleImage}, {Ready: true, ReadySince: now}},
			want: workload.TroubleImage,
		},
		"always the same": {
			pods: []workload.Pod{{Trouble: workload.TroubleScheduling}, {Trouble: workload.TroubleCrash}},
			want: workload.TroubleScheduling, wantNone: true,
		},
		"one that goes": {
			pods: []workload.Pod{{Trouble: workload.TroubleImage, Terminating: true}, {}},
		},
		"between crashes": {
			pods: []workload.Pod{{Ready: true, ReadySince: now.Add(-FixedAfter / 2)}}, before: said,
			last: workload.TroubleCrash, want: workload.TroubleCrash, wantNone: true,
		},
		"fixed": {
			pods: []workload.Pod{{Ready: true, ReadySince: now.Add(-FixedAfter)}}, before: said,
			last: workload.TroubleCrash,
		},
		"pulled, not ready": {
			pods: []workload.Pod{{}}, before: said, last: workload.TroubleImage, want: workload.TroubleImage,
			wantNone: true,
		},
		"all pods went": {
			pods: []workload.Pod{{Terminating: true}}, before: said, last: workload.TroubleImage,
		},
		"reported by another operator process": {
			pods: []workload.Pod{{}}, before: said, want: workload.TroubleUnknown, wantNone: true,
		},
		"said something else": {
			pods:   []workload.Pod{{}},
			before: []metav1.Condition{{Type: v1alpha1.ConditionReady, Reason: ReasonNoneAnswers}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, none := StartTrouble(tt.pods, tt.before, tt.last, now)
			if got != tt.want || none != tt.wantNone {
				t.Errorf("got %q, none %t; want %q, %t", got, none, tt.want, tt.wantNone)
			}
		})
	}
}
