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

// cachedPool is how the cache keeps a pool. Its conditions, which would take as much memory as all
// the rest, share what the conditions of many pools say. The copy that the cache gives its readers
// is a pool with its conditions.
type cachedPool struct {
	v1alpha1.GearmanWorkerPool // without conditions

	conditions []cachedCondition
}

// cachedCondition is a condition without what others have too.
type cachedCondition struct {
	text       unique.Handle[conditionText]
	changed    int64 // in seconds since 1970
	generation int64
}

type conditionText struct {
	kind, reason, message string
	status                metav1.ConditionStatus
}

// DeepCopyObject returns the pool.
func (c *cachedPool) DeepCopyObject() runtime.Object {
	p := c.GearmanWorkerPool.DeepCopy()
	for _, cond := range c.conditions {
		text := cond.text.Value()
		p.Status.Conditions = append(p.Status.Conditions, metav1.Condition{
			Type: text.kind, Status: text.status, Reason: text.reason, Message: text.message,
			LastTransitionTime: metav1.Unix(cond.changed, 0), ObservedGeneration: cond.generation,
		})
	}
	return p
}

// asPool returns the pool that an event or an index is about, without its conditions.
func asPool(o client.Object) (*v1alpha1.GearmanWorkerPool, bool) {
	switch p := o.(type) {
	case *v1alpha1.GearmanWorkerPool:
		return p, true
	case *cachedPool:
		return &p.GearmanWorkerPool, true
	}
	return nil, false
}

// stripPool leaves out who set which field and the terms of the last decision, which are the
// largest part of a status and only ever written.
func stripPool(obj any) (any, error) {
	p, ok := obj.(*v1alpha1.GearmanWorkerPool)
	if !ok { // stripped before: an informer may do it twice
		return obj, nil
	}
	p.ManagedFields = nil
	delete(p.Annotations, corev1.LastAppliedConfigAnnotation)
	p.Status.Decision.Terms = nil
	// Decoding leaves room for more.
	p.Spec.Servers, p.Status.Servers = slices.Clone(p.Spec.Servers), slices.Clone(p.Status.Servers)
	one(&p.Namespace)
	one(&p.Spec.Image)
	for i := range p.Spec.Servers {
		one(&p.Spec.Servers[i])
	}
	one(&p.Status.Decision.Reason)
	one(&p.Status.Decision.Message)
	for i := range p.Status.Servers {
		one(&p.Status.Servers[i].Address)
		one(&p.Status.Servers[i].State)
	}
	conditions := make([]cachedCondition, len(p.Status.Conditions))
	for i := range p.Status.Conditions {
		c := &p.Status.Conditions[i]
		text := conditionText{kind: c.Type, reason: c.Reason, message: c.Message, status: c.Status}
		conditions[i] = cachedCondition{unique.Make(text), c.LastTransitionTime.Unix(), c.ObservedGeneration}
	}
	p.Status.Conditions = nil
	return &cachedPool{*p, conditions}, nil
}
