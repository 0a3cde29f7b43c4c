package poolrow

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

func TestOf(t *testing.T) {
	t.Parallel()
	pool := func(status v1alpha1.GearmanWorkerPoolStatus) *v1alpha1.GearmanWorkerPool {
		return &v1alpha1.GearmanWorkerPool{
			ObjectMeta: metav1.ObjectMeta{Namespace: "jobs", Name: "resize"},
			Spec:       v1alpha1.GearmanWorkerPoolSpec{MinReplicas: 1, MaxReplicas: 10}, Status: status,
		}
	}
	tests := map[string]struct {
		status v1alpha1.GearmanWorkerPoolStatus
		want   Row
	}{
		"a job server is silent": {
			v1alpha1.GearmanWorkerPoolStatus{
				Queue:    v1alpha1.QueueStatus{Queued: 12, Running: 3, OldestWaitSeconds: 2, JobMilliseconds: 250},
				Replicas: 2, ReadyReplicas: 1, DesiredReplicas: 4,
				Decision: v1alpha1.DecisionStatus{Reason: "TargetWait"},
				Conditions: []metav1.Condition{
					{
						Type: v1alpha1.ConditionJobServersReachable, Status: metav1.ConditionFalse,
						Reason: "SomeDoNotAnswer",
					},
				},
			},
			Row{
				Namespace: "jobs", Pool: "resize", Queued: 12, Running: 3, WaitSeconds: 2, JobSeconds: 0.25,
				Replicas: 2, Desired: 4, Ready: 1, Min: 1, Max: 10,
				Partial: true, Reason: "TargetWait", Severity: "warning",
				Problem: "A job server doesn't answer. The pool may scale up but not down.", Rank: 2,
			},
		},
		"stalled": {
			v1alpha1.GearmanWorkerPoolStatus{
				Decision: v1alpha1.DecisionStatus{Reason: "Steady"},
				Conditions: []metav1.Condition{
					{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: "InvalidTLS"},
				},
			},
			Row{
				Namespace: "jobs", Pool: "resize", Min: 1, Max: 10, Reason: "InvalidTLS", Severity: "critical",
				Problem: "The TLS Secrets can't be used.", Rank: 3,
			},
		},
		"all is well": {
			v1alpha1.GearmanWorkerPoolStatus{
				Conditions: []metav1.Condition{{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionFalse}},
			},
			Row{Namespace: "jobs", Pool: "resize", Min: 1, Max: 10},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, Of(pool(tt.status))); diff != "" {
				t.Error(diff)
			}
		})
	}
}
