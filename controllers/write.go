package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	poolac "github.com/gearman-operator/gearman-operator/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/autoscaler"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// The field owners. A Deployment has two: if the owner of the template also owned the replicas,
// each apply of the template without them would reset them to 1.
const (
	// OwnerMain owns a pool's Deployment except spec.replicas, and the pool's status.
	OwnerMain = client.FieldOwner("gearman-operator")
	// OwnerScale owns spec.replicas and the pods' deletion costs.
	OwnerScale = client.FieldOwner("gearman-operator-scale")
)

// createDeployment creates the pool's Deployment with no replicas, and makes their own field owner
// the owner of the replicas. If only that failed, it returns the UID with the error.
func createDeployment(
	ctx context.Context, c client.Client, d *appsv1ac.DeploymentApplyConfiguration,
) (autoscaler.Applied, error) {
	d.Spec.WithReplicas(0)
	a, err := patchTemplate(ctx, c, d, "")
	if err != nil {
		return autoscaler.Applied{}, fmt.Errorf("create: %w", err)
	}
	d.Spec.Replicas = nil
	out, err := updateDeployment(ctx, c, d, &workload.State{UID: a.UID, AppliedFields: a.Fields})
	out.UID = a.UID
	return out, err
}

// updateDeployment applies the pool's template. First the scale owner applies the present replicas,
// so that a template without them does not reset them. The hash of the owned fields is written with
// the template, as if these stayed the same; if they changed, a second apply corrects it. A deleted
// Deployment is not created again: that is a conflict.
func updateDeployment(
	ctx context.Context, c client.Client, d *appsv1ac.DeploymentApplyConfiguration, w *workload.State,
) (autoscaler.Applied, error) {
	if _, _, err := patchReplicas(ctx, c, *d.Namespace, *d.Name, w.UID, w.Replicas); err != nil {
		return autoscaler.Applied{}, err
	}
	d.WithUID(types.UID(w.UID))
	a, err := patchTemplate(ctx, c, d, w.AppliedFields)
	if err == nil && a.Fields != w.AppliedFields {
		a, err = patchTemplate(ctx, c, d, a.Fields)
	}
	return a, err
}

func patchTemplate(
	ctx context.Context, c client.Client, d *appsv1ac.DeploymentApplyConfiguration, fields string,
) (autoscaler.Applied, error) {
	d.WithAnnotations(map[string]string{workload.FieldsAnnotation: fields})
	// Apply configurations have no managed fields, which are needed from the answer.
	u := &unstructured.Unstructured{}
	raw, err := json.Marshal(d)
	if err == nil {
		err = json.Unmarshal(raw, &u.Object)
	}
	if err != nil {
		return autoscaler.Applied{}, fmt.Errorf("encode Deployment %s/%s: %w", *d.Namespace, *d.Name, err)
	}
	if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), OwnerMain, client.ForceOwnership); err != nil {
		return autoscaler.Applied{}, fmt.Errorf("apply Deployment %s/%s: %w", *d.Namespace, *d.Name, err)
	}
	return autoscaler.Applied{
		UID: string(u.GetUID()), Generation: u.GetGeneration(),
		Fields: workload.OwnedFields(u.GetManagedFields(), string(OwnerMain)),
	}, nil
}

// patchReplicas sets spec.replicas of the pool's own Deployment, and nothing else. It returns the
// replicas in the API server's answer, and the generation after the write. An apply creates an
// object that does not exist; the UID makes that a conflict.
func patchReplicas(
	ctx context.Context, c client.Client, namespace, name, uid string, replicas int32,
) (int32, int64, error) {
	scale := appsv1ac.Deployment(name, namespace).WithUID(types.UID(uid)).
		WithSpec(appsv1ac.DeploymentSpec().WithReplicas(replicas))
	if err := c.Apply(ctx, scale, OwnerScale, client.ForceOwnership); err != nil {
		return 0, 0, fmt.Errorf("apply %d replicas to Deployment %s/%s: %w", replicas, namespace, name, err)
	}
	var generation int64
	if scale.Generation != nil {
		generation = *scale.Generation
	}
	if scale.Spec != nil && scale.Spec.Replicas != nil {
		replicas = *scale.Spec.Replicas
	}
	return replicas, generation, nil
}

// isUIDConflict reports whether the API server rejected an apply because the Deployment that it was
// for is gone and there is another one of its name.
func isUIDConflict(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Details != nil && slices.ContainsFunc(
		status.Status().Details.Causes, func(c metav1.StatusCause) bool { return c.Field == "metadata.uid" },
	)
}

// scaleTarget sets the replicas of a workload that the pool does not own, via its scale
// subresource, and returns those in the API server's answer.
func scaleTarget(
	ctx context.Context, c client.Client, namespace string, ref *v1alpha1.TargetRef, replicas int32,
) (int32, error) {
	var obj client.Object = &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: ref.Name}}
	if ref.Kind == "StatefulSet" {
		obj = &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: ref.Name}}
	}
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	var answer autoscalingv1.Scale
	err := c.SubResource("scale").Patch(
		ctx, obj, client.RawPatch(types.MergePatchType, patch), OwnerScale, client.WithSubResourceBody(&answer),
	)
	if err != nil {
		return 0, fmt.Errorf("scale %s %s/%s to %d: %w", ref.Kind, namespace, ref.Name, replicas, err)
	}
	return answer.Spec.Replicas, nil
}

// applyDeletionCost marks a pod to be removed first (or, with 0, removes the mark). A deleted pod
// needs no mark.
func applyDeletionCost(ctx context.Context, c client.Client, namespace, name string, cost int32) error {
	value := "null"
	if cost != 0 {
		value = strconv.Quote(strconv.Itoa(int(cost)))
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%s}}}`, workload.DeletionCostAnnotation, value)
	if err := c.Patch(
		ctx, pod, client.RawPatch(types.MergePatchType, patch), OwnerScale,
	); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("set the deletion cost of pod %s/%s: %w", namespace, name, err)
	}
	return nil
}

// applyStatus writes the whole status of a pool, and returns the resource version after the write.
// A deleted pool needs none.
func applyStatus(
	ctx context.Context, c client.Client, pool *v1alpha1.GearmanWorkerPool, status *v1alpha1.GearmanWorkerPoolStatus,
) (version string, err error) {
	raw, err := json.Marshal(status)
	if err != nil {
		return "", fmt.Errorf("encode the status of pool %s/%s: %w", pool.Namespace, pool.Name, err)
	}
	var ac poolac.GearmanWorkerPoolStatusApplyConfiguration
	if err := json.Unmarshal(raw, &ac); err != nil {
		return "", fmt.Errorf("encode the status of pool %s/%s: %w", pool.Namespace, pool.Name, err)
	}
	// The API server does not check the UID here: a pool that was deleted and created again may get
	// the previous one's status for a moment, until its own reconcile replaces it.
	p := poolac.GearmanWorkerPool(pool.Name, pool.Namespace).WithUID(pool.UID).WithStatus(&ac)
	if err := c.Status().Apply(ctx, p, OwnerMain, client.ForceOwnership); client.IgnoreNotFound(err) != nil {
		return "", fmt.Errorf("write the status of pool %s/%s: %w", pool.Namespace, pool.Name, err)
	}
	if p.ResourceVersion != nil {
		version = *p.ResourceVersion
	}
	return version, nil
}
