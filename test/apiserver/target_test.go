package apiserver

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
)

// TestTarget: the operator changes nothing of a target but its replicas, and the target stays
// unchanged when the pool is deleted.
func TestTarget(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	for _, kind := range []string{"Deployment", "StatefulSet"} {
		target := legacy(ns, kind, "legacy-"+strings.ToLower(kind), 1)
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			create(t, target)
			before := target.DeepCopyObject().(client.Object)
			p := pool(ns, func(s *spec) {
				s.Image, s.TargetRef, s.Scaling = "", &v1alpha1.TargetRef{Kind: kind, Name: target.GetName()}, manual(4)
			})
			p.Name = strings.ToLower(kind)
			create(t, p)
			g.Eventually(replicasOf(t, target), eventually).Should(BeEquivalentTo(4))
			if diff := cmp.Diff(before.GetLabels(), target.GetLabels()); diff != "" {
				t.Error(diff)
			}
			for _, m := range target.GetManagedFields() {
				if m.Manager == "gearman-operator" || m.Manager == "gearman-operator-scale" &&
					m.Subresource != "scale" {
					t.Errorf("the target was changed beyond its scale: %s", m.FieldsV1)
				}
			}
			if len(target.GetOwnerReferences()) != 0 {
				t.Error("the target was taken over")
			}
			if err := k8s.Delete(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			g.Eventually(func() bool {
				return apierrors.IsNotFound(k8s.Get(t.Context(), client.ObjectKeyFromObject(p), p))
			}, eventually).Should(BeTrue(), "no finalizer holds the pool")
			if err := k8s.Get(t.Context(), client.ObjectKeyFromObject(target), target); err != nil ||
				target.GetDeletionTimestamp() != nil {
				t.Errorf("the target went with the pool: %v", err)
			}
		})
	}
}

// legacy returns a workload that only its owner changes.
func legacy(ns, kind, name string, n int32) client.Object {
	meta := metav1.ObjectMeta{Namespace: ns, Name: name}
	labels := map[string]string{"app": name}
	selector := &metav1.LabelSelector{MatchLabels: labels}
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "legacy"}}},
	}
	if kind == "StatefulSet" {
		return &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{
			Replicas: &n, Selector: selector, Template: template, ServiceName: name,
			PodManagementPolicy: appsv1.ParallelPodManagement,
		}}
	}
	return &appsv1.Deployment{
		ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Replicas: &n, Selector: selector, Template: template},
	}
}

func replicasOf(t *testing.T, o client.Object) func() int32 {
	return func() int32 {
		if err := k8s.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			return -1
		}
		switch o := o.(type) {
		case *appsv1.Deployment:
			return *o.Spec.Replicas
		case *appsv1.StatefulSet:
			return *o.Spec.Replicas
		}
		return -1
	}
}

// TestTargetTaken: if two pools have one target, the older one scales it. The other one reports
// that, and takes over when the first is gone. A Deployment that a pool made can't be another
// pool's target.
func TestTargetTaken(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t)
	target := legacy(ns, "Deployment", "shared", 1)
	create(t, target)
	on := func(name, target string, n int32) *v1alpha1.GearmanWorkerPool {
		p := pool(ns, func(s *spec) {
			s.Image, s.TargetRef, s.Scaling = "", &v1alpha1.TargetRef{Kind: "Deployment", Name: target}, manual(n)
		})
		p.Name = name
		create(t, p)
		return p
	}
	first := on("z-first", "shared", 3)
	g.Eventually(replicasOf(t, target), eventually).Should(BeEquivalentTo(3))
	time.Sleep(time.Second) // creation times have whole seconds; for two in one second the name decides
	second := on("a-second", "shared", 5)
	g.Eventually(condition(t, second, v1alpha1.ConditionStalled), eventually).Should(Equal("True TargetTaken"))
	g.Expect(replicasOf(t, target)()).To(BeEquivalentTo(3))
	g.Expect(condition(t, first, v1alpha1.ConditionStalled)()).To(Equal("False AsExpected"))

	if err := k8s.Delete(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	g.Eventually(replicasOf(t, target), eventually/2).Should(BeEquivalentTo(5), "the second is told at once")
	g.Eventually(condition(t, second, v1alpha1.ConditionStalled), eventually).Should(Equal("False AsExpected"))

	own := pool(ns, func(s *spec) { s.Scaling = manual(2) })
	create(t, own)
	g.Eventually(replicas(t, own), eventually).Should(BeEquivalentTo(2))
	thief := on("thief", own.Name, 7)
	g.Eventually(condition(t, thief, v1alpha1.ConditionStalled), eventually).Should(Equal("True TargetTaken"))
	g.Expect(replicas(t, own)()).To(BeEquivalentTo(2))
}

// TestTargetShrinksByTelemetry: a target's pods are known by their telemetry. A StatefulSet is
// scaled down by the pods above the highest busy one. A Deployment is scaled down only when no pod
// is busy, since nobody knows which pod would be removed. Nothing else of the target or its pods is
// changed.
func TestTargetShrinksByTelemetry(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]struct{ whileOneWorks, then int32 }{
		"Deployment":  {4, 1},
		"StatefulSet": {2, 1},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			server := jobserver.Gearmand(t)
			ns := namespace(t)
			target := legacy(ns, kind, "legacy", 4)
			create(t, target)
			dial(t, server.Addr).submit("resize", 1)
			var list corev1.PodList
			g.Eventually(func() int {
				if err := k8s.List(
					t.Context(), &list, client.InNamespace(ns), client.MatchingLabels{"app": "legacy"},
				); err != nil {
					return -1
				}
				return len(list.Items)
			}, eventually).Should(Equal(4))
			slices.SortFunc(list.Items, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
			var busy *peer
			for i := range list.Items {
				if w := startPod(t, &list.Items[i], server.Addr, i == 1); i == 1 {
					busy = w // of a StatefulSet, that is legacy-1
				}
			}
			p := pool(ns, func(s *spec) {
				s.Image, s.TargetRef = "", &v1alpha1.TargetRef{Kind: kind, Name: "legacy"}
				s.Servers = []v1alpha1.ServerAddress{v1alpha1.ServerAddress(server.Addr)}
				s.MinReplicas = 1
				s.Scaling = &v1alpha1.ScalingSpec{
					PollSeconds: new(int32(1)), IdleSeconds: new(int32(1)), JobSeconds: new(int32(5)),
					TargetWaitSeconds: new(int32(60)),
				}
			})
			create(t, p)
			g.Eventually(replicasOf(t, target), 3*eventually).Should(BeEquivalentTo(want.whileOneWorks))
			if kind == "Deployment" {
				g.Eventually(
					func() int64 { return terms(t, p)["idleMilliSlots"] }, 3*eventually,
				).Should(BeNumerically(">=", 3000), "three are idle for long")
			}
			g.Consistently(replicasOf(t, target), 3*time.Second).Should(BeEquivalentTo(want.whileOneWorks))

			busy.complete(busy.assigned)
			busy.announce(false)
			g.Eventually(replicasOf(t, target), 3*eventually).Should(BeEquivalentTo(want.then))
			if err := k8s.List(
				t.Context(), &list, client.InNamespace(ns), client.MatchingLabels{"app": "legacy"},
			); err != nil {
				t.Fatal(err)
			}
			for i := range list.Items {
				if a := list.Items[i].Annotations; len(a) > 0 {
					t.Errorf("pod %s has got annotations: %v", list.Items[i].Name, a)
				}
			}
		})
	}
}

func terms(t *testing.T, p *v1alpha1.GearmanWorkerPool) map[string]int64 {
	var got v1alpha1.GearmanWorkerPool
	if err := k8s.Get(t.Context(), client.ObjectKeyFromObject(p), &got); err != nil {
		t.Log(fmt.Errorf("read the pool: %w", err))
	}
	return got.Status.Decision.Terms
}
