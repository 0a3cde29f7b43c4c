package world

import (
	"math/rand/v2"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/policy"
	"github.com/gearman-operator/gearman-operator/test/world/kube"
)

// featureSet is a pool that scales a StatefulSet that its users made.
const featureSet = "statefulset"

// addSets gives some pools a StatefulSet as their target. It draws from a source of its own.
func (p *Plan) addSets() {
	g := generator{rand.New(rand.NewPCG(p.Seed, 0x5e75))}
	for i := range p.Pools {
		if g.chance(0.08) {
			p.Pools[i].Target, p.Pools[i].Set = true, true
		}
	}
}

// kindOfTarget returns the kind of the object whose replicas a pool sets.
func (p *PoolPlan) kindOfTarget() string {
	if p.Set {
		return kube.KindStatefulSet
	}
	return kube.KindDeployment
}

// createTarget creates the Deployment or StatefulSet that a pool with a target scales. Its pods run
// the runtime too.
func (w *World) createTarget(pool int) error {
	plan := &w.plan.Pools[pool]
	labels := map[string]string{"app": plan.Name}
	meta := metav1.ObjectMeta{Namespace: namespace, Name: plan.Name}
	selector := &metav1.LabelSelector{MatchLabels: labels}
	replicas := max(1, plan.Min)
	if plan.Set {
		return w.kube.UserCreate(&appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{
			Replicas: &replicas, Selector: selector, Template: w.targetTemplate(pool, labels),
			PodManagementPolicy: appsv1.ParallelPodManagement,
		}})
	}
	return w.kube.UserCreate(&appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
		Replicas: &replicas, Selector: selector, Template: w.targetTemplate(pool, labels),
	}})
}

func (w *World) targetTemplate(pool int, labels map[string]string) corev1.PodTemplateSpec {
	spec := w.poolOf(pool).Spec
	spec.Runtime = &v1alpha1.RuntimeSpec{Exec: &v1alpha1.ExecRuntime{Command: []string{"/work"}}}
	mode, flags, rest := policy.RuntimeArgs(&spec, "")
	grace := int64(w.plan.Pools[pool].Drain) + 5
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: &grace,
			Containers: []corev1.Container{{
				Name: "worker", Image: "worker:1", Command: []string{"/gearman-worker", mode}, Args: append(flags, rest...),
			}},
		},
	}
}

// target is a Deployment's or StatefulSet's replicas and their state.
type target struct {
	replicas int32
	rollout  bool // pods of an older template are left, or its controller hasn't seen the last change
}

// targetOf returns the workload whose replicas a pool sets, or nil if there is none.
func (w *World) targetOf(pool int) *target {
	o := w.kube.Object(w.plan.Pools[pool].kindOfTarget(), w.key(pool))
	switch o := o.(type) {
	case *appsv1.Deployment:
		s := &o.Status
		return &target{*o.Spec.Replicas, s.UpdatedReplicas < s.Replicas || s.ObservedGeneration < o.Generation}
	case *appsv1.StatefulSet:
		return &target{*o.Spec.Replicas, o.Status.ObservedGeneration < o.Generation}
	}
	return nil
}

// scaleByHand scales a pool's Deployment or StatefulSet as a user does with kubectl scale.
func (w *World) scaleByHand(pool int, to int32) {
	changed := false
	set := func(replicas **int32) { changed, *replicas = **replicas != to, &to }
	taken := w.kube.UserEdit(w.plan.Pools[pool].kindOfTarget(), w.key(pool), "kubectl", func(o client.Object) {
		switch o := o.(type) {
		case *appsv1.Deployment:
			set(&o.Spec.Replicas)
		case *appsv1.StatefulSet:
			set(&o.Spec.Replicas)
		}
	})
	if taken && changed {
		w.monitor.scaled(pool)
	}
}

// observeReplicas traces a change of a workload's replicas.
func (w *World) observeReplicas(name string, from, to int32) {
	if from == to {
		return
	}
	w.trace.add("%s: replicas %d -> %d", name, from, to)
	if pool := w.poolNamed(name); w.monitor != nil && pool >= 0 {
		w.monitor.replicasChanged(pool, to > from)
	}
}
