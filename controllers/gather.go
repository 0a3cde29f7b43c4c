package controllers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// workload is what is known of the Deployment (or target) whose replicas a pool moves.
type workload struct {
	exists bool
	// foreign says that an object of the pool's name exists that belongs to somebody else.
	foreign bool

	uid        string
	generation int64
	replicas   int32 // spec.replicas
	current    int32 // status.replicas
	ready      int32
	selector   string

	// rollout says that pods of an older template remain, or that the latest spec has not been observed.
	rollout bool
	// replacing says only the former.
	replacing bool
	// rollsOut is what the conditions say of it.
	rollsOut bool
	// failure is the message of the ReplicaFailure condition: why the API server refuses the pods.
	failure string

	inputs, runtimeImage string // annotations, as applied
	// What the operator owned of the Deployment after it had applied its template, and what it owns now; as hashes.
	appliedFields, liveFields string
	// edited says that somebody else's edit of the Deployment is left as it is.
	edited bool

	// Of a target only.
	owner       string          // the pool that made it
	version     string          // its resource version
	podSelector labels.Selector // selects its pods, and maybe others
}

// pod is what is known of one pod of a pool.
type pod struct {
	name, uid, ip string
	created       time.Time
	ready         bool
	readySince    time.Time
	terminating   bool
	trouble       trouble
	cost          int32
}

// gatherWorkload reads the pool's Deployment, or its target.
func gatherWorkload(ctx context.Context, c client.Reader, pool *v1alpha1.GearmanWorkerPool) (workload, error) {
	kind, key := "Deployment", client.ObjectKeyFromObject(pool)
	isTarget := pool.Spec.TargetRef != nil
	if isTarget {
		kind, key.Name = pool.Spec.TargetRef.Kind, pool.Spec.TargetRef.Name
	}
	if kind == "StatefulSet" {
		var s appsv1.StatefulSet
		if err := c.Get(ctx, key, &s); err != nil {
			return workload{}, notFoundOr(err, "read StatefulSet %s", key)
		}
		w := workload{
			exists: true, uid: string(s.UID), generation: s.Generation, replicas: deref(s.Spec.Replicas, 1), current: s.Status.Replicas, ready: s.Status.ReadyReplicas,
			selector:  metav1.FormatLabelSelector(s.Spec.Selector),
			replacing: s.Status.UpdateRevision != s.Status.CurrentRevision,
		}
		w.rollout = w.replacing || s.Status.ObservedGeneration < s.Generation
		return w, w.asTarget(&s, s.Spec.Selector)
	}
	var d appsv1.Deployment
	if err := c.Get(ctx, key, &d); err != nil {
		return workload{}, notFoundOr(err, "read Deployment %s", key)
	}
	w := workload{
		exists: true, uid: string(d.UID), generation: d.Generation, replicas: deref(d.Spec.Replicas, 1), current: d.Status.Replicas, ready: d.Status.ReadyReplicas,
		selector:  metav1.FormatLabelSelector(d.Spec.Selector),
		foreign:   !isTarget && !metav1.IsControlledBy(&d, pool),
		replacing: d.Status.UpdatedReplicas < d.Status.Replicas,
		inputs:    d.Annotations[inputsAnnotation], runtimeImage: d.Annotations[runtimeImageAnnotation],
		appliedFields: d.Annotations[fieldsAnnotation], liveFields: d.Annotations[liveFieldsAnnotation],
	}
	w.rollout = w.replacing || d.Status.ObservedGeneration < d.Generation
	for _, cond := range d.Status.Conditions {
		if cond.Type == appsv1.DeploymentReplicaFailure && cond.Status == corev1.ConditionTrue {
			w.failure = cond.Message
		}
	}
	if isTarget {
		return w, w.asTarget(&d, d.Spec.Selector)
	}
	if d.Spec.Selector == nil { // see stripDeployment
		w.selector = v1alpha1.LabelPool + "=" + pool.Name
	}
	return w, nil
}

// asTarget notes what is needed of an object that is a pool's target.
func (w *workload) asTarget(o client.Object, selector *metav1.LabelSelector) (err error) {
	w.version = o.GetResourceVersion()
	if c := metav1.GetControllerOf(o); c != nil && c.Kind == "GearmanWorkerPool" {
		w.owner = c.Name
	}
	if w.podSelector, err = metav1.LabelSelectorAsSelector(selector); err != nil {
		return fmt.Errorf("selector of %s/%s: %w", o.GetNamespace(), o.GetName(), err)
	}
	return nil
}

// poolIndex finds a pool's pods among all others of its namespace.
const poolIndex = "pool"

func indexPool(o client.Object) []string { return []string{o.GetLabels()[v1alpha1.LabelPool]} }

// gatherPods reads the pool's pods, oldest first, but for those that have ended.
func gatherPods(ctx context.Context, c client.Reader, pool *v1alpha1.GearmanWorkerPool) ([]pod, error) {
	var list corev1.PodList
	if err := c.List(ctx, &list, client.InNamespace(pool.Namespace), client.MatchingFields{poolIndex: pool.Name}); err != nil {
		return nil, fmt.Errorf("list the pods of %s: %w", client.ObjectKeyFromObject(pool), err)
	}
	pods := make([]pod, 0, len(list.Items))
	for i := range list.Items {
		if p := &list.Items[i]; !ended(p) {
			pods = append(pods, podOf(p))
		}
	}
	sortPods(pods)
	return pods, nil
}

func ended(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// podOf reads a pod as the cache keeps it.
func podOf(p *corev1.Pod) pod {
	q := pod{
		name: p.Name, uid: string(p.UID), ip: p.Status.PodIP, created: p.CreationTimestamp.Time,
		terminating: p.DeletionTimestamp != nil, trouble: trouble(p.Status.Reason), cost: deletionCost(p),
	}
	for _, cond := range p.Status.Conditions {
		if cond.Type == corev1.PodReady && cond.Status == corev1.ConditionTrue {
			q.ready, q.readySince = true, cond.LastTransitionTime.Time
		}
	}
	return q
}

func sortPods(pods []pod) {
	slices.SortFunc(pods, func(a, b pod) int {
		return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.name, b.name))
	})
}

func deletionCost(p *corev1.Pod) int32 {
	n, err := strconv.ParseInt(p.Annotations[deletionCostAnnotation], 10, 32)
	if err != nil {
		return 0 // as the ReplicaSet controller reads it
	}
	return int32(n)
}

func notFoundOr(err error, format string, args ...any) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}

func deref[T any](p *T, def T) T {
	if p == nil {
		return def
	}
	return *p
}
