package controllers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// targetIndex finds the pools of a namespace that scale one target.
const targetIndex = "spec.targetRef"

// refreshMovingEvery is how old the list of a target's pods may be while some of them start or end, which the target's status does not always tell.
const refreshMovingEvery = 5 * time.Second

func targetKey(kind, name string) string { return kind + "/" + name }

func indexTarget(o client.Object) []string {
	p, ok := o.(*v1alpha1.GearmanWorkerPool)
	if !ok || p.Spec.TargetRef == nil {
		return nil
	}
	return []string{targetKey(p.Spec.TargetRef.Kind, p.Spec.TargetRef.Name)}
}

// poolsOf are the pools that scale a target.
func (r *PoolReconciler) poolsOf(ctx context.Context, namespace, target string) ([]v1alpha1.GearmanWorkerPool, error) {
	var list v1alpha1.GearmanWorkerPoolList
	if err := r.client.List(ctx, &list, client.InNamespace(namespace), client.MatchingFields{targetIndex: target}); err != nil {
		return nil, fmt.Errorf("list the pools that scale %s in namespace %s: %w", target, namespace, err)
	}
	return list.Items, nil
}

// ofTarget enqueues the pools that scale the object of an event; for a pool, those that scale the same target.
func (r *PoolReconciler) ofTarget(kind string) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
		target := targetKey(kind, o.GetName())
		if p, ok := o.(*v1alpha1.GearmanWorkerPool); ok {
			if p.Spec.TargetRef == nil {
				return nil
			}
			target = indexTarget(p)[0]
		}
		pools, err := r.poolsOf(ctx, o.GetNamespace(), target)
		if err != nil {
			return nil // read from memory; the pools are looked at again by themselves
		}
		var out []reconcile.Request
		for i := range pools {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&pools[i])})
		}
		return out
	})
}

// targetTaken says why a pool may not scale its target: it belongs to a pool, or an older pool scales it. Of two pools on one target the older goes on.
func (r *PoolReconciler) targetTaken(ctx context.Context, pool *v1alpha1.GearmanWorkerPool, w *workload) (stall, error) {
	ref := pool.Spec.TargetRef
	taken := func(by string) stall {
		return stall{reasonTargetTaken, fmt.Sprintf("pool %s scales %s %s already: delete one of the two pools", by, ref.Kind, ref.Name)}
	}
	if w.owner != "" {
		return taken(w.owner), nil
	}
	pools, err := r.poolsOf(ctx, pool.Namespace, indexTarget(pool)[0])
	if err != nil {
		return stall{}, err
	}
	for i := range pools {
		other := &pools[i]
		if other.UID == pool.UID || !other.DeletionTimestamp.IsZero() {
			continue
		}
		if cmp.Or(other.CreationTimestamp.Compare(pool.CreationTimestamp.Time), strings.Compare(other.Name, pool.Name)) < 0 {
			return taken(other.Name), nil
		}
	}
	return stall{}, nil
}

// targetPods is what was last read of a target's pods.
type targetPods struct {
	version string // of the target
	at      time.Time
	moving  bool
	pods    []pod
}

// gatherPods reads a pool's pods, its own or its target's, and says when they should be looked at again.
func (r *PoolReconciler) gatherPods(ctx context.Context, pool *v1alpha1.GearmanWorkerPool, w *workload) ([]pod, time.Duration, error) {
	if pool.Spec.TargetRef == nil {
		pods, err := gatherPods(ctx, r.client, pool)
		return pods, refreshEvery, err
	}
	read, err := r.gatherTargetPods(ctx, pool, w)
	if read.moving {
		return read.pods, refreshMovingEvery, err
	}
	return read.pods, refreshSecretsEvery, err
}

// gatherTargetPods reads the pods of a pool's target. They carry no label of ours, so that the cache does not hold them; they are read from the API
// server when the target's status has changed, and now and then.
func (r *PoolReconciler) gatherTargetPods(ctx context.Context, pool *v1alpha1.GearmanWorkerPool, w *workload) (targetPods, error) {
	if !w.exists {
		return targetPods{}, nil
	}
	key, now := client.ObjectKeyFromObject(pool), r.clock.Now()
	r.mu.Lock()
	known := r.targets[key]
	r.mu.Unlock()
	age := now.Sub(known.at)
	if known.version == w.version && age < refreshSecretsEvery && (!known.moving || age < refreshMovingEvery) {
		return known, nil
	}
	var list corev1.PodList
	if err := r.live.List(ctx, &list, client.InNamespace(pool.Namespace), client.MatchingLabelsSelector{Selector: w.podSelector}); err != nil {
		return targetPods{}, fmt.Errorf("list the pods of %s's target: %w", key, err)
	}
	read := targetPods{version: w.version, at: now}
	for i := range list.Items {
		p := &list.Items[i]
		if ended(p) || !belongsTo(p, pool.Spec.TargetRef, w.uid) {
			continue
		}
		stripped, err := stripPod(p)
		if err != nil {
			return targetPods{}, err
		}
		q := podOf(stripped.(*corev1.Pod))
		q.cost = 0 // whoever set one, it is not the operator's to clear
		read.moving = read.moving || q.terminating || !q.ready
		read.pods = append(read.pods, q)
	}
	sortPods(read.pods)
	r.mu.Lock()
	r.targets[key] = read
	r.mu.Unlock()
	return read, nil
}

// belongsTo reports whether a pod that a target's selector found is the target's.
func belongsTo(p *corev1.Pod, ref *v1alpha1.TargetRef, uid string) bool {
	c := metav1.GetControllerOf(p)
	switch {
	case c == nil:
		return false
	case ref.Kind == "StatefulSet":
		return string(c.UID) == uid
	}
	// Of a Deployment's ReplicaSets only the names are known, without reading them.
	return c.Kind == "ReplicaSet" && c.Name == ref.Name+"-"+p.Labels["pod-template-hash"]
}

// targetRule is which pods of a target may go.
type targetRule uint8

const (
	noTarget      targetRule = iota
	targetTrusted            // any, as they are trusted to finish their jobs
	targetIdle               // none while any works, since nobody knows which would be taken
	targetHighest            // those above the highest ordinal that works
)

func targetRuleOf(s *v1alpha1.GearmanWorkerPoolSpec) targetRule {
	switch {
	case s.TargetRef == nil:
		return noTarget
	case s.Scaling != nil && s.Scaling.ScaleDown == v1alpha1.ScaleDownGraceful:
		return targetTrusted
	case s.TargetRef.Kind == "StatefulSet":
		return targetHighest
	}
	return targetIdle
}

// pin marks those pods of a target that can't be chosen to go. Nothing but the target's replicas is written, so that Kubernetes chooses: any pod of a
// Deployment, which therefore gets smaller only while none works, and the highest ordinal of a StatefulSet, of which those above the highest that works may
// go. With scaleDown: Graceful each pod is trusted to finish its jobs.
func pin(rule targetRule, pods []scaling.PodSample, functions []scaling.FunctionSample) {
	if rule == noTarget || rule == targetTrusted {
		return
	}
	running := slices.ContainsFunc(functions, func(fn scaling.FunctionSample) bool { return fn.Running > 0 })
	highest := -1
	for i := range pods {
		p := &pods[i]
		dark := p.Ready && !p.Telemetry
		if !p.Terminating && (p.Busy > 0 || dark && running) {
			highest = max(highest, ordinal(p.Name, i))
		}
	}
	for i := range pods {
		pods[i].Pinned = highest >= 0 && (rule == targetIdle || ordinal(pods[i].Name, i) <= highest)
	}
}

// ordinal is the number at the end of a StatefulSet's pod's name; otherwise what is given.
func ordinal(name string, otherwise int) int {
	n, err := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:])
	if err != nil {
		return otherwise
	}
	return n
}
