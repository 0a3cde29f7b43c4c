package apiserver

import (
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
)

// TestPodsNotStarting: a pool whose only worker can't pull its image is not ready and reports it,
// until the worker has been ready for a while.
func TestPodsNotStarting(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	server := jobserver.Gearmand(t)
	p := pool(namespace(t), func(s *spec) {
		s.Servers = []v1alpha1.ServerAddress{v1alpha1.ServerAddress(server.Addr)}
		s.Scaling = manual(1)
	})
	create(t, p)
	status := func(mutate func(*corev1.PodStatus)) func() error {
		return func() error {
			var pods corev1.PodList
			if err := k8s.List(
				t.Context(), &pods, client.InNamespace(p.Namespace), client.MatchingLabels{v1alpha1.LabelPool: p.Name},
			); err != nil {
				return err
			}
			if len(pods.Items) != 1 {
				return errors.New("no pod yet")
			}
			mutate(&pods.Items[0].Status)
			return k8s.Status().Update(t.Context(), &pods.Items[0])
		}
	}
	g.Eventually(status(func(s *corev1.PodStatus) {
		s.ContainerStatuses = []corev1.ContainerStatus{
			{
				Name:  "worker",
				State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull"}},
			},
		}
	}), eventually).Should(Succeed())
	g.Eventually(condition(t, p, v1alpha1.ConditionReady), eventually).Should(Equal("False PodsNotStarting"))
	g.Eventually(status(func(s *corev1.PodStatus) {
		s.ContainerStatuses = nil
		s.Conditions = []corev1.PodCondition{
			{
				Type: corev1.PodReady, Status: corev1.ConditionTrue,
				LastTransitionTime: metav1.NewTime(time.Now().Add(-time.Minute)),
			},
		}
	}), eventually).Should(Succeed())
	g.Eventually(condition(t, p, v1alpha1.ConditionReady), eventually).Should(Equal("True AsExpected"))
}
