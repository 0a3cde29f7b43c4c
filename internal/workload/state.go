package workload

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// State is the state of the Deployment (or target) whose replicas a pool sets.
type State struct {
	Exists bool
	// Foreign: there is an object of the pool's name that belongs to another owner.
	Foreign bool

	UID        string
	Generation int64
	Replicas   int32 // spec.replicas
	// OwnReplicas: the operator was the last to change them, this process or another leader.
	OwnReplicas bool
	Current     int32 // status.replicas
	Ready       int32
	Selector    string

	// Unsettled: the state does not show the result of the latest spec: pods of an older template
	// remain, or the latest spec has not been observed. Each change of replicas makes it true for a
	// moment.
	Unsettled bool
	// Replacing: pods of an older template remain.
	Replacing bool
	// Failure is the message of the ReplicaFailure condition: why the API server rejects the pods.
	Failure string

	Inputs, RuntimeImage string // annotations, as applied
	// AppliedFields is what the operator owned of the Deployment after it had applied its template,
	// LiveFields what it owns now; as hashes.
	AppliedFields, LiveFields string

	// Of a target only.
	Owner       string          // the pool that created it
	Version     string          // its resource version
	PodSelector labels.Selector // selects its pods, and maybe others
}

// RollingOut reports whether pods of an older template are being replaced; before is the last known
// value, which is kept while the latest spec has not been observed.
func (s *State) RollingOut(before bool) bool { return s.Replacing || s.Unsettled && before }

// OfDeployment reads a pool's Deployment, or its target; liveFields is the hash of the fields that
// the operator owns now.
func OfDeployment(d *appsv1.Deployment, pool *v1alpha1.GearmanWorkerPool, liveFields string) (State, error) {
	isTarget := pool.Spec.TargetRef != nil
	s := State{
		Exists: true, UID: string(d.UID), Generation: d.Generation,
		Replicas: replicasOr1(d.Spec.Replicas), Current: d.Status.Replicas, Ready: d.Status.ReadyReplicas,
		Selector:  metav1.FormatLabelSelector(d.Spec.Selector),
		Foreign:   !isTarget && !metav1.IsControlledBy(d, pool),
		Replacing: d.Status.UpdatedReplicas < d.Status.Replicas,
		Inputs:    d.Annotations[InputsAnnotation], RuntimeImage: d.Annotations[RuntimeImageAnnotation],
		AppliedFields: d.Annotations[FieldsAnnotation], LiveFields: liveFields,
	}
	s.Unsettled = s.Replacing || d.Status.ObservedGeneration < d.Generation
	for _, cond := range d.Status.Conditions {
		if cond.Type == appsv1.DeploymentReplicaFailure && cond.Status == corev1.ConditionTrue {
			s.Failure = refusal(cond.Message)
		}
	}
	if isTarget {
		return s, s.readTarget(d, d.Spec.Selector)
	}
	if d.Spec.Selector == nil { // the cache drops it, since it is known
		s.Selector = v1alpha1.LabelPool + "=" + pool.Name
	}
	return s, nil
}

// OfStatefulSet reads a target that is a StatefulSet.
func OfStatefulSet(set *appsv1.StatefulSet) (State, error) {
	s := State{
		Exists: true, UID: string(set.UID), Generation: set.Generation,
		Replicas: replicasOr1(set.Spec.Replicas), Current: set.Status.Replicas, Ready: set.Status.ReadyReplicas,
		Selector:  metav1.FormatLabelSelector(set.Spec.Selector),
		Replacing: set.Status.UpdateRevision != set.Status.CurrentRevision,
	}
	s.Unsettled = s.Replacing || set.Status.ObservedGeneration < set.Generation
	return s, s.readTarget(set, set.Spec.Selector)
}

// readTarget reads the fields of an object that is a pool's target.
func (s *State) readTarget(o metav1.Object, selector *metav1.LabelSelector) (err error) {
	s.Version = o.GetResourceVersion()
	if c := metav1.GetControllerOf(o); c != nil && c.Kind == "GearmanWorkerPool" {
		s.Owner = c.Name
	}
	if s.PodSelector, err = metav1.LabelSelectorAsSelector(selector); err != nil {
		return fmt.Errorf("selector of %s/%s: %w", o.GetNamespace(), o.GetName(), err)
	}
	return nil
}

func replicasOr1(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}
