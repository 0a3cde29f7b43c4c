package controllers

import (
	"slices"
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// cachedPool is how the cache keeps a pool. Its conditions would take as much memory as all the
// rest, so pools with equal conditions share them. The copy that the cache's readers get is a pool
// with its conditions.
type cachedPool struct {
	v1alpha1.GearmanWorkerPool // without conditions

	conditions unique.Handle[conditionList]
	changed    []int64 // by condition, in seconds since 1970
}

// conditionList is a list of conditions without the times at which they changed. Pools in the same
// state share all of it.
type conditionList struct {
	text conditionText
	rest unique.Handle[conditionList] // the zero handle: none
}

type conditionText struct {
	kind, reason, message string
	status                metav1.ConditionStatus
	generation            int64
}

// shareConditions returns the shared conditions, and when each changed.
func shareConditions(conditions []metav1.Condition) (shared unique.Handle[conditionList], changed []int64) {
	changed = make([]int64, len(conditions))
	for i := len(conditions) - 1; i >= 0; i-- {
		c := &conditions[i]
		changed[i] = c.LastTransitionTime.Unix()
		shared = unique.Make(conditionList{
			conditionText{c.Type, c.Reason, c.Message, c.Status, c.ObservedGeneration}, shared,
		})
	}
	return shared, changed
}

// DeepCopyObject returns the pool.
func (c *cachedPool) DeepCopyObject() runtime.Object {
	p := c.GearmanWorkerPool.DeepCopy()
	if len(c.changed) == 0 {
		return p
	}
	p.Status.Conditions = make([]metav1.Condition, len(c.changed))
	rest := c.conditions
	for i, changed := range c.changed {
		list := rest.Value()
		p.Status.Conditions[i] = metav1.Condition{
			Type: list.text.kind, Status: list.text.status, Reason: list.text.reason, Message: list.text.message,
			LastTransitionTime: metav1.Unix(changed, 0), ObservedGeneration: list.text.generation,
		}
		rest = list.rest
	}
	return p
}

// asPool returns the pool of an event or an index, without its conditions.
func asPool(o client.Object) (*v1alpha1.GearmanWorkerPool, bool) {
	switch p := o.(type) {
	case *v1alpha1.GearmanWorkerPool:
		return p, true
	case *cachedPool:
		return &p.GearmanWorkerPool, true
	}
	return nil, false
}

// stripPool drops the managed fields and the terms of the last decision, which are the largest part
// of a status and only ever written.
func stripPool(obj any) (any, error) {
	p, ok := obj.(*v1alpha1.GearmanWorkerPool)
	if !ok { // stripped before: an informer may do it twice
		return obj, nil
	}
	p.ManagedFields = nil
	delete(p.Annotations, corev1.LastAppliedConfigAnnotation)
	p.Status.Decision.Terms = nil
	// Decoding allocates more than is needed.
	p.Spec.Servers, p.Status.Servers = slices.Clone(p.Spec.Servers), slices.Clone(p.Status.Servers)
	intern(&p.Namespace)
	intern(&p.Spec.Image)
	for i := range p.Spec.Servers {
		intern(&p.Spec.Servers[i])
	}
	intern(&p.Status.Decision.Reason)
	intern(&p.Status.Decision.Message)
	for i := range p.Status.Servers {
		intern(&p.Status.Servers[i].Address)
		intern(&p.Status.Servers[i].State)
	}
	conditions, changed := shareConditions(p.Status.Conditions)
	p.Status.Conditions = nil
	return &cachedPool{*p, conditions, changed}, nil
}
