package kubectlgearman

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/poolrow"
)

const (
	// listTimeout bounds the time for all pools.
	listTimeout = 30 * time.Second
	// pageSize is how many pools are requested at a time.
	pageSize = 500
)

// listRows returns the pools of a namespace, of all if it is empty.
func listRows(ctx context.Context, api client.Client, namespace string) ([]poolrow.Row, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	var rows []poolrow.Row
	for next := ""; ; {
		var pools v1alpha1.GearmanWorkerPoolList
		if err := api.List(
			ctx, &pools, client.InNamespace(namespace), client.Limit(pageSize), client.Continue(next),
		); err != nil {
			return nil, fmt.Errorf("list pools: %w", err)
		}
		for i := range pools.Items {
			rows = append(rows, poolrow.Of(&pools.Items[i]))
		}
		if next = pools.Continue; next == "" {
			return rows, nil
		}
	}
}
