package kubectlgearman

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// poolRow is one pool as its status shows it.
type poolRow struct {
	Namespace   string  `json:"namespace"`
	Pool        string  `json:"pool"`
	Queued      float64 `json:"queued"`
	Running     float64 `json:"running"`
	WaitSeconds float64 `json:"oldestWaitSeconds"`
	JobSeconds  float64 `json:"jobSeconds"`
	Replicas    float64 `json:"replicas"`
	Desired     float64 `json:"desiredReplicas"`
	Ready       float64 `json:"readyReplicas"`
	Min         float64 `json:"minReplicas"`
	Max         float64 `json:"maxReplicas"`
	Partial     bool    `json:"partial"`
	Reason      string  `json:"reason"`
}

func rowOf(p *v1alpha1.GearmanWorkerPool) poolRow {
	s := &p.Status
	reachable := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionJobServersReachable)
	row := poolRow{
		Namespace: p.Namespace, Pool: p.Name, Queued: float64(s.Queue.Queued), Running: float64(s.Queue.Running),
		WaitSeconds: float64(s.Queue.OldestWaitSeconds), JobSeconds: float64(s.Queue.JobMilliseconds) / 1000,
		Replicas: float64(s.Replicas), Desired: float64(s.DesiredReplicas), Ready: float64(s.ReadyReplicas),
		Min: float64(p.Spec.MinReplicas), Max: float64(p.Spec.MaxReplicas),
		Partial: reachable != nil && reachable.Status == metav1.ConditionFalse, Reason: s.Decision.Reason,
	}
	if c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionStalled); c != nil && c.Status == metav1.ConditionTrue {
		row.Reason = c.Reason
	}
	return row
}

const (
	// listTimeout bounds the time for all pools.
	listTimeout = 30 * time.Second
	// pageSize is how many pools are asked for at a time.
	pageSize = 500
)

// listRows returns the pools of a namespace, of all if it is empty.
func listRows(ctx context.Context, api client.Client, namespace string) ([]poolRow, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	var rows []poolRow
	for next := ""; ; {
		var pools v1alpha1.GearmanWorkerPoolList
		if err := api.List(ctx, &pools, client.InNamespace(namespace), client.Limit(pageSize), client.Continue(next)); err != nil {
			return nil, fmt.Errorf("list pools: %w", err)
		}
		for i := range pools.Items {
			rows = append(rows, rowOf(&pools.Items[i]))
		}
		if next = pools.Continue; next == "" {
			return rows, nil
		}
	}
}
