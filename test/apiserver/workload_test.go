package apiserver

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

type spec = v1alpha1.GearmanWorkerPoolSpec

func create(t *testing.T, p client.Object) {
	t.Helper()
	if err := k8s.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

func manual(n int32) *v1alpha1.ScalingSpec {
	return &v1alpha1.ScalingSpec{Mode: v1alpha1.ModeManual, ManualReplicas: &n}
}

// deployment reads the pool's Deployment; replicas are -1 if there is none.
func deployment(ctx context.Context, p *v1alpha1.GearmanWorkerPool) (*appsv1.Deployment, error) {
	d := &appsv1.Deployment{}
	return d, k8s.Get(ctx, client.ObjectKeyFromObject(p), d)
}

func replicas(t *testing.T, p *v1alpha1.GearmanWorkerPool) func() int32 {
	return func() int32 {
		d, err := deployment(t.Context(), p)
		if err != nil {
			return -1
		}
		return *d.Spec.Replicas
	}
}

// condition returns "Status Reason" of one of the pool's conditions.
func condition(t *testing.T, p *v1alpha1.GearmanWorkerPool, kind string) func() string {
	return func() string {
		var got v1alpha1.GearmanWorkerPool
		if err := k8s.Get(t.Context(), client.ObjectKeyFromObject(p), &got); err != nil {
			return err.Error()
		}
		c := meta.FindStatusCondition(got.Status.Conditions, kind)
		if c == nil {
			return ""
		}
		return string(c.Status) + " " + c.Reason
	}
}

func update(t *testing.T, p *v1alpha1.GearmanWorkerPool, mutate func(*spec)) {
	t.Helper()
	old := p.DeepCopy()
	mutate(&p.Spec)
	if err := k8s.Patch(t.Context(), p, client.MergeFrom(old)); err != nil {
		t.Fatal(err)
	}
}

// TestTwoFieldOwners: the template and the replicas have two owners, and a changed template does
// not change the replicas.
func TestTwoFieldOwners(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	p := pool(namespace(t), func(s *spec) { s.Scaling = manual(7) })
	create(t, p)
	g.Eventually(replicas(t, p), eventually).Should(BeEquivalentTo(7))

	update(t, p, func(s *spec) { s.Image = "worker:2" })
	g.Eventually(func() string {
		d, err := deployment(t.Context(), p)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(d.Spec.Template.Spec.Containers[0].Image, " ", *d.Spec.Replicas)
	}, eventually).Should(Equal("worker:2 7"))

	d, err := deployment(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	owners := map[string]bool{}
	for _, m := range d.ManagedFields {
		if m.Subresource == "" && strings.Contains(m.FieldsV1.GetRawString(), `"f:replicas"`) {
			owners[m.Manager] = true
		}
	}
	if diff := cmp.Diff(map[string]bool{"gearman-operator-scale": true}, owners); diff != "" {
		t.Errorf("owners of spec.replicas: %s", diff)
	}
	if !metav1.IsControlledBy(d, p) {
		t.Error("the Deployment does not belong to the pool")
	}
}

// TestModes: Manual keeps its number, Paused and DryRun write no replicas, and bounds follow the
// spec.
func TestModes(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	p := pool(namespace(t), func(s *spec) { s.Scaling = manual(3) })
	create(t, p)
	g.Eventually(replicas(t, p), eventually).Should(BeEquivalentTo(3))
	g.Eventually(condition(t, p, v1alpha1.ConditionScalingActive), eventually).Should(Equal("False Manual"))

	for _, mode := range []v1alpha1.ScalingMode{v1alpha1.ModePaused, v1alpha1.ModeDryRun} {
		update(t, p, func(s *spec) { s.Scaling = &v1alpha1.ScalingSpec{Mode: mode}; s.MinReplicas = 5 })
		g.Eventually(
			condition(t, p, v1alpha1.ConditionScalingActive), eventually,
		).Should(Equal("False " + string(mode)))
		g.Consistently(replicas(t, p), time.Second).Should(BeEquivalentTo(3), string(mode))
	}
	update(t, p, func(s *spec) { s.Scaling = nil })
	g.Eventually(replicas(t, p), eventually).Should(BeEquivalentTo(5), "minReplicas holds without any job server")
}

// TestContested: replicas that somebody else changes again and again are no longer forced.
func TestContested(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	p := pool(namespace(t), func(s *spec) { s.MinReplicas = 2 })
	create(t, p)
	g.Eventually(replicas(t, p), eventually).Should(BeEquivalentTo(2))
	setReplicas := func(n int32) {
		t.Helper()
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name}}
		patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, n))
		if err := k8s.Patch(t.Context(), d, patch, client.FieldOwner("somebody")); err != nil {
			t.Fatal(err)
		}
	}
	setReplicas(0)
	g.Eventually(replicas(t, p), eventually).Should(BeEquivalentTo(2), "the first change is put back")
	setReplicas(1)
	g.Eventually(condition(t, p, v1alpha1.ConditionScalingActive), eventually).Should(Equal("False Contested"))
	g.Consistently(replicas(t, p), time.Second).Should(BeEquivalentTo(1))
}

// TestStalled: mistakes that the API's rules can't detect are reported in Stalled, with a reason
// and what to change.
func TestStalled(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		mutate  func(*spec)
		reason  string
		message string
	}{
		"podTemplate": {func(s *spec) {
			s.PodTemplate = &runtime.RawExtension{Raw: []byte(`{"spec":{"nodeSelektor":{"a":"b"}}}`)}
		}, "InvalidPodTemplate", `unknown field "spec.nodeSelektor"`},
		"what the API server refuses": {func(s *spec) {
			s.PodTemplate = &runtime.RawExtension{Raw: []byte(`{"spec":{"dnsPolicy":"Guess"}}`)}
		}, "InvalidPodTemplate", "dnsPolicy"},
		"schedule": {func(s *spec) {
			s.Scaling = &v1alpha1.ScalingSpec{
				Schedules: []v1alpha1.Schedule{
					{Name: "x", Start: "not a cron", DurationSeconds: 60, MinReplicas: new(int32(1))},
				},
			}
		}, "InvalidScaling", `schedule "x"`},
		"TLS secret": {
			func(s *spec) { s.TLS = &v1alpha1.TLSSpec{ClientCertificateSecret: "nope"} }, "InvalidTLS",
			"there is no Secret nope",
		},
		"target": {func(s *spec) {
			s.Image, s.TargetRef = "", &v1alpha1.TargetRef{Kind: "StatefulSet", Name: "nope"}
		}, "TargetNotFound", "there is no StatefulSet nope"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			p := pool(namespace(t), tt.mutate)
			create(t, p)
			g.Eventually(condition(t, p, v1alpha1.ConditionStalled), eventually).Should(Equal("True " + tt.reason))
			var got v1alpha1.GearmanWorkerPool
			if err := k8s.Get(t.Context(), client.ObjectKeyFromObject(p), &got); err != nil {
				t.Fatal(err)
			}
			c := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionStalled)
			if !strings.Contains(c.Message, tt.message) {
				t.Errorf("message %q; want it to say %q", c.Message, tt.message)
			}
			if got.Status.ObservedGeneration != got.Generation {
				t.Errorf("observedGeneration %d, generation %d", got.Status.ObservedGeneration, got.Generation)
			}
		})
	}
}

// TestNameTaken: a Deployment with the pool's name and another owner is left alone.
func TestNameTaken(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	p := pool(namespace(t))
	labels := map[string]string{"app": "other"}
	create(t, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(4)), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "other"}}},
			},
		},
	})
	create(t, p)
	g.Eventually(condition(t, p, v1alpha1.ConditionStalled), eventually).Should(Equal("True NameTaken"))
	d, err := deployment(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if *d.Spec.Replicas != 4 || d.Spec.Template.Spec.Containers[0].Image != "other" || len(d.OwnerReferences) != 0 {
		t.Errorf("the other Deployment was touched: %+v", d.Spec)
	}
}

// TestFunctionShared: two pools that serve one function on one job server each report the other,
// until one is deleted.
func TestFunctionShared(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t)
	a, b := pool(ns), pool(ns)
	a.Name, b.Name = "a", "b"
	create(t, a)
	create(t, b)
	for _, p := range []*v1alpha1.GearmanWorkerPool{a, b} {
		g.Eventually(
			condition(t, p, v1alpha1.ConditionFunctionShared), eventually,
		).Should(Equal("True SharedWithPools"))
	}
	if err := k8s.Delete(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	// Pools of other tests serve this function too, in other namespaces, so only the name must be
	// gone.
	g.Eventually(func() string {
		var got v1alpha1.GearmanWorkerPool
		if err := k8s.Get(t.Context(), client.ObjectKeyFromObject(b), &got); err != nil {
			return err.Error()
		}
		return meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionFunctionShared).Message
	}, eventually).ShouldNot(HaveSuffix(": a"))
}

// reasons returns the reasons of the events about a pool.
func reasons(t *testing.T, p *v1alpha1.GearmanWorkerPool) func() []string {
	return func() []string {
		var list eventsv1.EventList
		if err := k8s.List(t.Context(), &list, client.InNamespace(p.Namespace)); err != nil {
			return []string{err.Error()}
		}
		var out []string
		for _, e := range list.Items {
			if e.Regarding.Name == p.Name {
				out = append(out, e.Reason)
			}
		}
		return out
	}
}

func execRuntime(command ...string) *v1alpha1.RuntimeSpec {
	return &v1alpha1.RuntimeSpec{Exec: &v1alpha1.ExecRuntime{Command: command}}
}
