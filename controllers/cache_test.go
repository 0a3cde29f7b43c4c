package controllers

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// TestCacheKeepsWhatIsRead: gathering a workload gives the same from the cached object as from the
// whole one.
func TestCacheKeepsWhatIsRead(t *testing.T) {
	t.Parallel()
	meta := metav1.ObjectMeta{
		Namespace: "ns", Name: "pool", UID: "u", Generation: 7,
		Annotations: map[string]string{
			workload.InputsAnnotation: "i", workload.RuntimeImageAnnotation: "r", workload.FieldsAnnotation: "f",
			corev1.LastAppliedConfigAnnotation: "{}", "other": "x",
		},
		Labels: map[string]string{"a": "b"},
		OwnerReferences: []metav1.OwnerReference{
			{
				APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "GearmanWorkerPool", Name: "pool", UID: "p",
				Controller: new(true),
			},
		},
	}
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.LabelPool: "pool"}}
	template := corev1.PodTemplateSpec{
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "worker", Image: "i"}}},
	}
	tests := map[string]struct {
		object client.Object
		strip  func(any) (any, error)
		target *v1alpha1.TargetRef
	}{
		"Deployment": {&appsv1.Deployment{
			ObjectMeta: meta,
			Spec:       appsv1.DeploymentSpec{Replicas: new(int32(3)), Selector: selector, Template: template},
			Status: appsv1.DeploymentStatus{
				ObservedGeneration: 6, Replicas: 3, ReadyReplicas: 2, UpdatedReplicas: 1,
				Conditions: []appsv1.DeploymentCondition{
					{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue},
					{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: "quota"},
				},
			},
		}, stripDeployment, nil},
		"Deployment that is a target": {&appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "pool", UID: "u"},
			Spec:       appsv1.DeploymentSpec{Replicas: new(int32(3)), Selector: selector, Template: template},
		}, stripDeployment, &v1alpha1.TargetRef{Kind: "Deployment", Name: "pool"}},
		"StatefulSet": {&appsv1.StatefulSet{
			ObjectMeta: meta,
			Spec:       appsv1.StatefulSetSpec{Replicas: new(int32(2)), Selector: selector, Template: template},
			Status: appsv1.StatefulSetStatus{
				ObservedGeneration: 7, Replicas: 2, ReadyReplicas: 1, CurrentRevision: "a", UpdateRevision: "b",
			},
		}, stripStatefulSet, &v1alpha1.TargetRef{Kind: "StatefulSet", Name: "pool"}},
	}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	pool := &v1alpha1.GearmanWorkerPool{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "pool", UID: "p"}}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := pool.DeepCopy()
			pool.Spec.TargetRef = tt.target
			gather := func(o client.Object) workload.State {
				c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(o).Build()
				w, err := gatherWorkload(t.Context(), c, pool)
				if err != nil {
					t.Fatal(err)
				}
				return w
			}
			whole := gather(tt.object.DeepCopyObject().(client.Object))
			stripped, err := tt.strip(tt.object)
			if err == nil {
				stripped, err = tt.strip(stripped) // as informers do at times
			}
			if err != nil {
				t.Fatal(err)
			}
			selectors := cmp.Comparer(func(a, b labels.Selector) bool {
				return (a == nil) == (b == nil) && (a == nil || a.String() == b.String())
			})
			if diff := cmp.Diff(
				whole, gather(stripped.(client.Object).DeepCopyObject().(client.Object)), selectors,
			); diff != "" {
				t.Error(diff)
			}
			if !whole.Exists || whole.Foreign {
				t.Errorf("%+v", whole)
			}
		})
	}
}

// TestStripPool: a pool loses what is only ever written, and nothing of its spec.
func TestStripPool(t *testing.T) {
	t.Parallel()
	p := &v1alpha1.GearmanWorkerPool{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "p", ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m"}},
			Annotations: map[string]string{corev1.LastAppliedConfigAnnotation: "{}", "a": "b"},
		},
		Spec: v1alpha1.GearmanWorkerPoolSpec{Servers: []v1alpha1.ServerAddress{"s:1"}, Function: "f", Image: "i"},
		Status: v1alpha1.GearmanWorkerPoolStatus{
			Decision: v1alpha1.DecisionStatus{Reason: "r", Message: "m", Terms: map[string]int64{"queued": 1}},
			Servers:  []v1alpha1.ServerStatus{{Address: "s:1", State: "OK"}},
			Conditions: []metav1.Condition{
				{
					Type: "Ready", Status: "True", Reason: "AsExpected", Message: "m",
					LastTransitionTime: metav1.Unix(1_700_000_000, 0), ObservedGeneration: 3,
				},
				{Type: "Stalled", Status: "False", Reason: "AsExpected"},
			},
		},
	}
	want := p.DeepCopy()
	want.ManagedFields, want.Annotations, want.Status.Decision.Terms = nil, map[string]string{"a": "b"}, nil
	var got any = p
	for range 2 { // as informers do at times
		var err error
		if got, err = stripPool(got); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, got.(runtime.Object).DeepCopyObject()); diff != "" {
		t.Error(diff)
	}
}

// TestStrippedPoolsShareTheirConditions: a pool keeps nothing of its conditions for itself but the
// times at which they changed.
func TestStrippedPoolsShareTheirConditions(t *testing.T) {
	t.Parallel()
	strip := func(changed int64, message string) *cachedPool {
		p := &v1alpha1.GearmanWorkerPool{}
		for _, kind := range []string{"Ready", "Stalled", "ScalingActive"} {
			p.Status.Conditions = append(p.Status.Conditions, metav1.Condition{
				Type: kind, Status: "True", Reason: "r", Message: message, LastTransitionTime: metav1.Unix(changed, 0),
			})
		}
		p.Status.Conditions[1].Message = "the same"
		out, err := stripPool(p)
		if err != nil {
			t.Fatal(err)
		}
		return out.(*cachedPool)
	}
	a, b, other := strip(1_700_000_000, "m"), strip(1_700_000_001, "m"), strip(1_700_000_000, "another")
	if a.conditions != b.conditions {
		t.Error("conditions that say the same are kept twice")
	}
	if a.conditions == other.conditions {
		t.Error("conditions that say something else are taken for the same")
	}
	for i, at := range []int64{1_700_000_000, 1_700_000_001} {
		p := []*cachedPool{a, b}[i].DeepCopyObject().(*v1alpha1.GearmanWorkerPool)
		if got := p.Status.Conditions[2].LastTransitionTime.Unix(); got != at {
			t.Errorf("changed at %d, want %d", got, at)
		}
	}
	if got, err := stripPool(&v1alpha1.GearmanWorkerPool{}); err != nil ||
		got.(*cachedPool).DeepCopyObject().(*v1alpha1.GearmanWorkerPool).Status.Conditions != nil {
		t.Errorf("a pool without conditions: %v %v", got, err)
	}
}

// TestStripTwice: an informer that lists may transform an object more than once, which must not
// lose what was computed from the whole one.
func TestStripTwice(t *testing.T) {
	t.Parallel()
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "d", ManagedFields: []metav1.ManagedFieldsEntry{{
		Manager: string(OwnerMain), Operation: metav1.ManagedFieldsOperationApply,
		FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:template":{}}}`),
	}}}}
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "worker"}}
	want := workload.OwnedFields(d.ManagedFields, string(OwnerMain))
	var o any = d
	for range 2 {
		var err error
		if o, err = stripDeployment(o); err != nil {
			t.Fatal(err)
		}
		if got := cachedOwnedFields(o.(runtime.Object).DeepCopyObject().(*appsv1.Deployment)); got != want ||
			want == "" {
			t.Errorf("the cache has the owned fields %q, want %q", got, want)
		}
	}
}

// TestStripOwnReplicas: the cache keeps whether the operator was the last to change the replicas,
// however often an informer transforms the object, and ignores an annotation of the user's with
// that name.
func TestStripOwnReplicas(t *testing.T) {
	t.Parallel()
	managed := func(owner client.FieldOwner, subresource string) []metav1.ManagedFieldsEntry {
		return []metav1.ManagedFieldsEntry{{
			Manager: string(owner), Subresource: subresource,
			FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:replicas":{}}}`),
		}}
	}
	containers := []corev1.Container{{Name: "worker"}}
	for name, tt := range map[string]struct {
		fields []metav1.ManagedFieldsEntry
		want   bool
	}{
		"applied":            {managed(OwnerScale, ""), true},
		"scaled":             {managed(OwnerScale, "scale"), true},
		"kubectl scale":      {managed("kubectl", "scale"), false},
		"at the creation":    {managed(OwnerMain, ""), false},
		"nobody":             {nil, false},
		"status.replicas":    {managed(OwnerScale, "status"), false},
		"without the fields": {[]metav1.ManagedFieldsEntry{{Manager: string(OwnerScale)}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			meta := metav1.ObjectMeta{
				Name: "d", ManagedFields: tt.fields, Annotations: map[string]string{string(annotationOwnReplicas): "true"},
			}
			d, s := &appsv1.Deployment{ObjectMeta: meta}, &appsv1.StatefulSet{ObjectMeta: meta}
			d.Spec.Template.Spec.Containers, s.Spec.Template.Spec.Containers = containers, containers
			var ofDeployment, ofSet any = d, s
			for range 2 { // as informers do at times
				var err error
				if ofDeployment, err = stripDeployment(ofDeployment); err != nil {
					t.Fatal(err)
				}
				if ofSet, err = stripStatefulSet(ofSet); err != nil {
					t.Fatal(err)
				}
			}
			for _, o := range []any{ofDeployment, ofSet} {
				o := o.(runtime.Object).DeepCopyObject().(metav1.Object)
				if got := cachedOwnReplicas(o); got != tt.want {
					t.Errorf("%T: got %t, want %t", o, got, tt.want)
				}
			}
		})
	}
}

// TestStripPod: the cache keeps the deletion cost and what keeps a pod from starting, but no
// annotation of the user's that could be mistaken for either.
func TestStripPod(t *testing.T) {
	t.Parallel()
	bare := workload.PodMarks{Unowned: true, Unassigned: true} // without owner and node
	stopped := bare
	stopped.Stopped = true
	tests := map[string]struct {
		annotations map[string]string
		waiting     string
		want        workload.Pod
	}{
		"all well": {want: workload.Pod{Pending: true, Marks: bare}},
		"crashes": {
			waiting: "CrashLoopBackOff",
			want:    workload.Pod{Pending: true, Trouble: workload.TroubleCrash, Marks: stopped},
		},
		"marked": {
			annotations: map[string]string{workload.DeletionCostAnnotation: "-7"},
			want:        workload.Pod{Pending: true, Cost: -7, Marks: bare},
		},
		"marked, crashes": {
			annotations: map[string]string{workload.DeletionCostAnnotation: "-7"}, waiting: "CrashLoopBackOff",
			want: workload.Pod{Pending: true, Cost: -7, Trouble: workload.TroubleCrash, Marks: stopped},
		},
		"the user's": {
			annotations: map[string]string{string(annotationTrouble): "CrashLoop", string(annotationMarks): "gated"},
			want:        workload.Pod{Pending: true, Marks: bare},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Annotations: tt.annotations},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "worker"}}},
			}
			if tt.waiting != "" {
				p.Status.ContainerStatuses = []corev1.ContainerStatus{
					{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: tt.waiting}}},
				}
			}
			var o any = p
			for range 2 { // as informers do at times
				var err error
				if o, err = stripPod(o); err != nil {
					t.Fatal(err)
				}
			}
			stripped := o.(*corev1.Pod)
			if diff := cmp.Diff(
				tt.want, workload.OfPod(stripped, cachedTrouble(stripped), cachedMarks(stripped)),
			); diff != "" {
				t.Error(diff)
			}
		})
	}
}
