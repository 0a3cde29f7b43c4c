package apiserver

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// TestPodsRefused: if the namespace's Pod Security does not admit pods, Stalled reports it in the
// words of the refusal. Once the pool is fixed, pods are created.
func TestPodsRefused(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	p := pool(namespace(t), func(s *spec) { s.Scaling = manual(1) })
	ns := &corev1.Namespace{}
	ns.Name = p.Namespace
	enforce := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`))
	if err := k8s.Patch(t.Context(), ns, enforce); err != nil {
		t.Fatal(err)
	}
	create(t, p)
	g.Eventually(condition(t, p, v1alpha1.ConditionStalled), eventually).Should(Equal("True PodsRefused"))
	g.Eventually(message(t, p, v1alpha1.ConditionStalled), eventually).Should(
		ContainSubstring("runAsNonRoot"), "it says what to change",
	)
	g.Expect(replicas(t, p)()).To(BeEquivalentTo(1), "replicas are kept right meanwhile")

	update(t, p, func(s *spec) {
		s.PodTemplate = &runtime.RawExtension{Raw: []byte(`{"spec":{"securityContext":{"runAsNonRoot":true,"runAsUser":1000}}}`)}
	})
	// Until a new pod is ready the Deployment reports the refusals of its old ReplicaSet.
	admitted := pods(t, p, 1)[0]
	admitted.Status = corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{
		{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()},
	}}
	if err := k8s.Status().Update(t.Context(), admitted); err != nil {
		t.Fatal(err)
	}
	g.Eventually(condition(t, p, v1alpha1.ConditionStalled), eventually).Should(Equal("False AsExpected"))
}
