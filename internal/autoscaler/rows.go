package autoscaler

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/poolrow"
)

// Rows lists the pools with the figures of the last poll, sorted by namespace and name.
func (a *Autoscaler) Rows() []poolrow.Row {
	keys := a.keys()
	rows := make([]poolrow.Row, 0, len(keys))
	for _, key := range keys {
		a.known(key, func(p *Pool) {
			pool := v1alpha1.GearmanWorkerPool{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
			pool.Spec.MinReplicas, pool.Spec.MaxReplicas = p.view.MinReplicas, p.view.MaxReplicas
			pool.Status = p.shortStatus()
			rows = append(rows, poolrow.Of(&pool))
		})
	}
	slices.SortFunc(rows, func(a, b poolrow.Row) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Pool, b.Pool))
	})
	return rows
}

// shortStatus is as much of the pool's status as a row shows.
func (p *Pool) shortStatus() v1alpha1.GearmanWorkerPoolStatus {
	v, w := &p.view, &p.observed.Workload
	s := v1alpha1.GearmanWorkerPoolStatus{
		Replicas: w.Replicas, ReadyReplicas: w.Ready, DesiredReplicas: v.Decision.Replicas,
		Queue: v1alpha1.QueueStatus{
			Queued: v.Queued, Running: v.Running, OldestWaitSeconds: int64(v.Decision.OldestWait.Seconds()),
			JobMilliseconds: v.Decision.JobTime.Milliseconds(),
		},
		Decision: v1alpha1.DecisionStatus{Reason: string(v.Decision.Reason)},
	}
	for _, c := range p.conditions {
		s.Conditions = append(
			s.Conditions, metav1.Condition{Type: c.Type, Status: metav1.ConditionStatus(c.Status), Reason: c.Reason},
		)
	}
	return s
}
