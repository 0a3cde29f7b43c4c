package kube

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

const maxMessage = 32768 // of a condition

// admit fills in defaults and refuses what the API server refuses, for the kinds of objects that
// the world writes.
func admit(o, _ client.Object) error {
	switch o := o.(type) {
	case *v1alpha1.GearmanWorkerPool:
		return admitPool(o)
	case *appsv1.Deployment:
		setDefault(&o.Spec.Replicas, 1)
		if o.Spec.Selector == nil || len(o.Spec.Template.Spec.Containers) == 0 {
			// This is an apply of the replicas alone to a Deployment that is gone.
			return invalid(KindDeployment, o, field.Required(field.NewPath("spec", "selector"), ""))
		}
		if *o.Spec.Replicas < 0 {
			return invalid(
				KindDeployment, o,
				field.Invalid(
					field.NewPath("spec", "replicas"), *o.Spec.Replicas, "must be greater than or equal to 0",
				),
			)
		}
	case *appsv1.StatefulSet:
		setDefault(&o.Spec.Replicas, 1)
	}
	return nil
}

func admitPool(p *v1alpha1.GearmanWorkerPool) error {
	s := &p.Spec
	if s.Concurrency == 0 {
		s.Concurrency = 1
	}
	spec := field.NewPath("spec")
	switch {
	case s.MinReplicas > s.MaxReplicas:
		return invalid(
			KindPool, p,
			field.Invalid(
				spec.Child("minReplicas"), s.MinReplicas,
				"minReplicas must not be greater than maxReplicas: lower minReplicas or raise maxReplicas",
			),
		)
	case s.MinReplicas < 0, s.MaxReplicas > 100000:
		return invalid(KindPool, p, field.Invalid(spec, s.MaxReplicas, "replicas must be from 0 to 100000"))
	case (s.Function == "") == (len(s.Functions) == 0):
		return invalid(
			KindPool, p,
			field.Invalid(spec, nil, "set exactly one of function (a name) and functions (a list of names)"),
		)
	case (s.Image == "") == (s.TargetRef == nil):
		return invalid(
			KindPool, p,
			field.Invalid(
				spec, nil,
				"set exactly one of image (the operator creates a Deployment) and targetRef (the operator scales one that exists)",
			),
		)
	case len(s.Servers) == 0 || len(s.Servers) > 64:
		return invalid(KindPool, p, field.Invalid(spec.Child("servers"), len(s.Servers), "must have 1 to 64 items"))
	}
	for i, c := range p.Status.Conditions {
		if len(c.Message) > maxMessage {
			return invalid(
				KindPool, p,
				field.TooLong(field.NewPath("status", "conditions").Index(i).Child("message"), "", maxMessage),
			)
		}
	}
	return nil
}

func invalid(kind string, o client.Object, err *field.Error) error {
	return apierrors.NewInvalid(
		gvkOf(kind).GroupKind(), fmt.Sprintf("%s/%s", o.GetNamespace(), o.GetName()), field.ErrorList{err},
	)
}

func setDefault[T any](p **T, v T) {
	if *p == nil {
		*p = &v
	}
}
