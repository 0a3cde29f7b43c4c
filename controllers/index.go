package controllers

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// poolIndex finds a pool's pods among all others of its namespace.
const poolIndex = "pool"

func indexPool(o client.Object) []string { return []string{o.GetLabels()[v1alpha1.LabelPool]} }

// targetIndex finds the pools of a namespace that scale one target.
const targetIndex = "spec.targetRef"

func indexTarget(o client.Object) []string {
	p, ok := asPool(o)
	if !ok || p.Spec.TargetRef == nil {
		return nil
	}
	return []string{targetKey(p.Spec.TargetRef.Kind, p.Spec.TargetRef.Name)}
}

func targetKey(kind, name string) string { return kind + "/" + name }

// poolsOf are the pools that scale a target.
func (r *PoolReconciler) poolsOf(ctx context.Context, namespace, target string) ([]v1alpha1.GearmanWorkerPool, error) {
	var list v1alpha1.GearmanWorkerPoolList
	if err := r.client.List(
		ctx, &list, client.InNamespace(namespace), client.MatchingFields{targetIndex: target},
	); err != nil {
		return nil, fmt.Errorf("list the pools that scale %s in namespace %s: %w", target, namespace, err)
	}
	return list.Items, nil
}
