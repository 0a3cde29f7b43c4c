package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/applyconfigurations"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// fieldManagers contains Kubernetes' own implementation of field ownership. It is used for
// Deployments, whose owned fields the operator reads. A few lines suffice for the others: of pods
// only annotations are applied, and of pools the whole status by one owner.
type fieldManagers struct {
	once       sync.Once
	deployment *managedfields.FieldManager
}

type noDefaults struct{}

func (noDefaults) Default(runtime.Object) {}

func (s *Server) deploymentFields() *managedfields.FieldManager {
	s.fields.once.Do(func() {
		gvk := gvkOf(KindDeployment)
		m, err := managedfields.NewDefaultFieldManager(
			applyconfigurations.NewTypeConverter(s.Scheme), s.Scheme, noDefaults{}, s.Scheme, gvk, gvk.GroupVersion(),
			"", nil,
		)
		if err != nil {
			panic(fmt.Sprintf("kube: field manager of Deployments: %v", err)) // a mistake in this program
		}
		s.fields.deployment = m
	})
	return s.fields.deployment
}

// apply is a server-side apply. It returns the resulting object.
func (s *Server) apply(u *unstructured.Unstructured, subresource, owner string, force bool) (client.Object, error) {
	switch u.GetKind() + "/" + subresource {
	case KindDeployment + "/":
		return s.applyDeployment(u, owner, force)
	case KindPod + "/":
		return s.applyAnnotations(u, owner)
	case KindPool + "/status":
		return s.applyPoolStatus(u)
	}
	return nil, s.notPlayed("apply " + u.GetKind() + " " + subresource)
}

func (s *Server) applyDeployment(u *unstructured.Unstructured, owner string, force bool) (client.Object, error) {
	key := keyOf(u)
	apply := func(live client.Object) (client.Object, error) {
		if v := u.GetResourceVersion(); v != "" && v != live.GetResourceVersion() {
			return nil, apierrors.NewConflict(
				resourceOf(KindDeployment), key.Name,
				errors.New(
					"the object has been modified; please apply your changes to the latest version and try again",
				),
			)
		}
		if err := sameUID(KindDeployment, live, u); err != nil {
			return nil, err
		}
		live.GetObjectKind().SetGroupVersionKind(gvkOf(KindDeployment))
		out, err := s.deploymentFields().Apply(live, u, owner, force)
		if err != nil {
			return nil, err
		}
		return out.(client.Object), nil
	}
	o, err := s.update(KindDeployment, key, apply)
	if !apierrors.IsNotFound(err) {
		return o, err
	}
	o, err = apply(&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}})
	if err != nil {
		return nil, err
	}
	return s.create(o)
}

// applyAnnotations applies a pod's annotations. Those that the owner applied before and leaves out
// now are removed.
func (s *Server) applyAnnotations(u *unstructured.Unstructured, owner string) (client.Object, error) {
	return s.update(KindPod, keyOf(u), func(o client.Object) (client.Object, error) {
		pod := o.(*corev1.Pod)
		if err := sameUID(KindPod, pod, u); err != nil {
			return nil, err
		}
		if pod.Annotations == nil {
			pod.Annotations = map[string]string{}
		}
		applied := u.GetAnnotations()
		for _, key := range s.owned[pod.UID][owner] {
			if _, ok := applied[key]; !ok {
				delete(pod.Annotations, key)
			}
		}
		var keys []string
		for key, value := range applied {
			pod.Annotations[key] = value
			keys = append(keys, key)
		}
		slices.Sort(keys)
		if s.owned[pod.UID] == nil {
			s.owned[pod.UID] = map[string][]string{}
		}
		s.owned[pod.UID][owner] = keys
		return pod, nil
	})
}

func (s *Server) applyPoolStatus(u *unstructured.Unstructured) (client.Object, error) {
	raw, err := json.Marshal(u.Object["status"])
	if err != nil {
		return nil, err
	}
	var status v1alpha1.GearmanWorkerPoolStatus
	if err := json.Unmarshal(raw, &status); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return s.update(KindPool, keyOf(u), func(o client.Object) (client.Object, error) {
		p := o.(*v1alpha1.GearmanWorkerPool) // the uid of an applied status is ignored
		p.Status = status
		return p, nil
	})
}

// sameUID refuses an apply with a uid if the object does not exist yet or has another uid.
func sameUID(kind string, o, applied client.Object) error {
	uid := applied.GetUID()
	switch {
	case uid == "" || uid == o.GetUID():
		return nil
	case o.GetUID() == "":
		return apierrors.NewConflict(
			resourceOf(kind), o.GetName(),
			fmt.Errorf("uid mismatch: the provided object specified uid %s, and no existing object was found", uid),
		)
	default:
		return apierrors.NewInvalid(gvkOf(kind).GroupKind(), o.GetName(), field.ErrorList{
			field.Invalid(field.NewPath("metadata", "uid"), string(uid), "field is immutable"),
		})
	}
}

// edit changes an object as a user without server-side apply does: the changed fields get that user
// as owner.
func (s *Server) edit(
	kind string, key client.ObjectKey, user string, change func(client.Object),
) (client.Object, error) {
	return s.update(kind, key, func(o client.Object) (client.Object, error) {
		if set, ok := o.(*appsv1.StatefulSet); ok {
			before := *set.Spec.Replicas
			change(o)
			if *set.Spec.Replicas != before {
				set.ManagedFields = ownerOfReplicas(user)
			}
			return o, nil
		}
		if kind != KindDeployment {
			change(o)
			return o, nil
		}
		live := copyOf(o)
		change(o)
		out, err := s.deploymentFields().Update(live, o, user)
		if err != nil {
			return nil, err
		}
		return out.(client.Object), nil
	})
}

// ownerOfReplicas returns the managed fields that show who changed a StatefulSet's replicas last.
// The operator reads no others.
func ownerOfReplicas(user string) []metav1.ManagedFieldsEntry {
	return []metav1.ManagedFieldsEntry{{
		Manager: user, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "apps/v1", FieldsType: "FieldsV1",
		FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:replicas":{}}}`), Subresource: "scale",
	}}
}
