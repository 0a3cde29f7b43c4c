package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// maxEdits is how many edits of a Deployment by somebody else are put back within contestWindow. Each may roll pods.
const maxEdits = 3

// drift is what is known of a Deployment that the cache does not show as it was last applied, or that somebody else has edited.
type drift struct {
	fields string      // what the operator owned after its last apply, as a hash
	uid    string      // of the Deployment then
	made   int64       // the generation that the apply made; what the cache shows of an earlier one says nothing
	edits  []time.Time // when edits were put back
	// created is when the Deployment was created, until the cache has shown it.
	created time.Time
}

const (
	// unseenFor is how long a Deployment that was created is waited for in the cache.
	unseenFor = 30 * time.Second
	// unseenAgain is how soon it is looked for again, should its event not do that.
	unseenAgain = time.Second
)

// unseen reports whether the cache has yet to show the Deployment that was created for the pool. To create it again would take its replicas from it.
func (r *PoolReconciler) unseen(key types.NamespacedName, w *workload) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.drifts[key]
	if d == nil || d.created.IsZero() {
		return false
	}
	if w.exists || r.clock.Since(d.created) > unseenFor {
		d.created = time.Time{}
	}
	return !d.created.IsZero()
}

// ensureWorkload brings the pool's Deployment to its template; w becomes what it is then.
func (r *PoolReconciler) ensureWorkload(ctx context.Context, pool *v1alpha1.GearmanWorkerPool, w *workload) (stall, error) {
	if ref := pool.Spec.TargetRef; ref != nil {
		if !w.exists {
			return stall{reasonTargetNotFound, fmt.Sprintf("there is no %s %s in namespace %s: create it, or correct targetRef", ref.Kind, ref.Name, pool.Namespace)}, nil
		}
		return r.targetTaken(ctx, pool, w)
	}
	if w.foreign {
		return stall{reasonNameTaken, fmt.Sprintf("a Deployment %s exists that is not this pool's: rename the pool, or remove the Deployment", pool.Name)}, nil
	}
	inputs, err := templateInputs(pool)
	if err != nil {
		return stall{}, err
	}
	rt := r.options.Runtime
	if w.exists && w.inputs == inputs && w.runtimeImage != "" && !r.options.RolloutRuntime {
		rt.Image = w.runtimeImage // a new operator alone rolls no pods
	}
	key := client.ObjectKeyFromObject(pool)
	drifted := w.exists && r.drifted(key, w)
	current := w.exists && w.inputs == inputs && w.runtimeImage == rt.Image
	w.edited = current && drifted && r.editsContested(key)
	if current && (!drifted || w.edited) {
		return stall{}, nil
	}
	d, err := deploymentTemplate(pool, rt)
	if errors.Is(err, errInvalidPodTemplate) {
		return stall{reasonInvalidPodTemplate, err.Error()}, nil
	}
	if err != nil {
		return stall{}, err
	}
	var a applied
	created := !w.exists
	if !created {
		a, err = updateDeployment(ctx, r.client, d, w.replicas, w.appliedFields)
	} else {
		a, err = createDeployment(ctx, r.client, d)
		*w = workload{exists: true, inputs: inputs, runtimeImage: rt.Image}
	}
	if err != nil {
		return refusal(err)
	}
	r.noteApplied(key, a, created, drifted && current)
	if drifted && current {
		r.event(pool, corev1.EventTypeNormal, "TemplateRestored", "Update", "somebody changed the Deployment; what the pool says was put back")
	}
	w.rollout, w.replacing, w.uid, w.generation = true, true, a.uid, a.generation
	return stall{}, nil
}

// refusal tells an object that the API server does not accept from a failure to reach it. In a namespace that is being deleted nothing can be created;
// the pool goes too.
func refusal(err error) (stall, error) {
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return stall{reasonNamespaceEnds, "the namespace is being deleted"}, nil
	}
	if apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err) {
		return stall{reasonInvalidPodTemplate, err.Error()}, nil
	}
	return stall{}, err
}

// drifted reports whether somebody else has changed a field that the operator owns since it applied the template, be it while no operator ran:
// what it owned then is noted on the Deployment itself.
func (r *PoolReconciler) drifted(key types.NamespacedName, w *workload) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.drifts[key]
	if w.liveFields == w.appliedFields {
		if d != nil && d.fields == w.liveFields && len(d.edits) == 0 {
			delete(r.drifts, key)
		}
		return false
	}
	if d != nil && d.uid == w.uid && w.generation < d.made {
		return false
	}
	return d == nil || d.fields != w.liveFields
}

// noteApplied remembers what an apply left the operator owning until the cache shows it: the note on the Deployment may have been written in a second
// step, and the state in between is no drift.
func (r *PoolReconciler) noteApplied(key types.NamespacedName, a applied, created, edited bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.drifts[key]
	if d == nil {
		d = &drift{}
		r.drifts[key] = d
	}
	d.fields, d.uid, d.made = a.fields, a.uid, a.generation
	if created {
		d.created = r.clock.Now()
	}
	if edited {
		d.edits = append(d.edits, r.clock.Now())
	}
}

// editsContested reports whether so many edits have been put back lately that the next is left: a controller or a GitOps tool insists, and each turn rolls pods.
func (r *PoolReconciler) editsContested(key types.NamespacedName) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.drifts[key]
	if d == nil {
		return false
	}
	d.edits = slices.DeleteFunc(d.edits, func(t time.Time) bool { return r.clock.Since(t) > contestWindow })
	return len(d.edits) >= maxEdits
}
