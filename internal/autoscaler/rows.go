package autoscaler

import (
	"cmp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/poolrow"
	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
)

// Rows lists the pools with the figures of the last poll, sorted by namespace and name.
func (a *Autoscaler) Rows() []poolrow.Row {
	keys, now := a.keys(), a.clock.Now()
	rows := make([]poolrow.Row, 0, len(keys))
	for _, key := range keys {
		a.doExisting(key, func(p *Pool) {
			pool := v1alpha1.GearmanWorkerPool{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
			pool.Spec.MinReplicas, pool.Spec.MaxReplicas = p.view.MinReplicas, p.view.MaxReplicas
			pool.Status = p.shortStatus()
			row := poolrow.Of(&pool)
			setAges(&row, p.view.Sample.Servers, now)
			rows = append(rows, row)
		})
	}
	slices.SortFunc(rows, func(a, b poolrow.Row) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Pool, b.Pool))
	})
	return rows
}

// setAges sets in a row how old the answers of the pool's job servers are.
func setAges(row *poolrow.Row, servers []backlog.ServerSample, now time.Time) {
	var newest time.Time
	var silent []*backlog.ServerSample
	for i := range servers {
		s := &servers[i]
		if s.LastGood.After(newest) {
			newest = s.LastGood
		}
		if s.State != backlog.StateOK && s.State != backlog.StateConnecting {
			silent = append(silent, s)
		}
	}
	row.FiguresAgeSeconds = age(newest, now)
	slices.SortFunc(silent, func(a, b *backlog.ServerSample) int {
		return cmp.Or(a.LastGood.Compare(b.LastGood), cmp.Compare(a.Address, b.Address), a.Resolved.Compare(b.Resolved))
	})
	for _, s := range silent[:min(len(silent), poolrow.MaxSilent)] {
		row.Silent = append(row.Silent, poolrow.Silent{
			Server: poolstatus.ServerName(s), State: string(s.Reported()), AnswerAgeSeconds: age(s.LastGood, now),
		})
	}
}

// age is how long before now at was, in seconds; nil if at is zero.
func age(at, now time.Time) *float64 {
	if at.IsZero() {
		return nil
	}
	return new(max(0, now.Sub(at).Seconds()))
}

// shortStatus is the part of the pool's status that a row shows.
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
