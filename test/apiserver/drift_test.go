package apiserver

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// image returns the image of the worker container.
func image(t *testing.T, p *v1alpha1.GearmanWorkerPool) func() string {
	return func() string {
		d, err := deployment(t.Context(), p)
		if err != nil {
			return err.Error()
		}
		return d.Spec.Template.Spec.Containers[0].Image
	}
}

// edit changes the pool's Deployment as a user with kubectl does.
func edit(t *testing.T, p *v1alpha1.GearmanWorkerPool, kind types.PatchType, patch string) {
	t.Helper()
	d, err := deployment(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if err := k8s.Patch(
		t.Context(), d, client.RawPatch(kind, []byte(patch)), client.FieldOwner("kubectl-edit"),
	); err != nil {
		t.Fatal(err)
	}
}

const intruder = `{"spec":{"template":{"spec":{"containers":[{"name":"worker","image":"intruder"}]}}}}`

// TestDeploymentPutBack: a Deployment that a user deletes or edits is restored, and an event
// reports it.
func TestDeploymentPutBack(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	p := pool(namespace(t), func(s *spec) { s.Scaling = manual(2) })
	create(t, p)
	g.Eventually(replicas(t, p), eventually).Should(BeEquivalentTo(2))
	d, err := deployment(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if err := k8s.Delete(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	g.Eventually(func() bool {
		again, err := deployment(t.Context(), p)
		return err == nil && again.UID != d.UID && *again.Spec.Replicas == 2
	}, eventually).Should(BeTrue())

	for name, patch := range map[string]string{
		"the image":         intruder,
		"the grace period":  `{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":1}}}}`,
		"the strategy":      `{"spec":{"strategy":{"rollingUpdate":{"maxUnavailable":1}}}}`,
		"a label":           `{"metadata":{"labels":{"gearman.dev/pool":null}}}`,
		"the note on drift": `{"metadata":{"annotations":{"gearman.dev/applied-fields":"nonsense"}}}`,
	} {
		// Each edit has a pool of its own, since repeated edits are not reverted forever.
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			p := pool(namespace(t))
			create(t, p)
			g.Eventually(condition(t, p, v1alpha1.ConditionStalled), eventually).Should(Equal("False AsExpected"))
			edit(t, p, types.StrategicMergePatchType, patch)
			g.Eventually(func() string {
				d, err := deployment(t.Context(), p)
				if err != nil {
					return err.Error()
				}
				pod := &d.Spec.Template.Spec
				return fmt.Sprintf(
					"%s %d %s %s %d", pod.Containers[0].Image, *pod.TerminationGracePeriodSeconds,
					d.Spec.Strategy.RollingUpdate.MaxUnavailable, d.Labels[v1alpha1.LabelPool],
					len(d.Annotations["gearman.dev/applied-fields"]),
				)
			}, eventually).Should(Equal("worker:1 300 0 pool 20"))
			g.Eventually(reasons(t, p), eventually).Should(ContainElement("TemplateRestored"))
		})
	}
}

// TestWhatOthersAddStays: additions by others in fields that the pool does not set (kubectl rollout
// restart's annotation, an injected container) are not drift. They stay, and no event reports a
// restored Deployment.
func TestWhatOthersAddStays(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	p := pool(namespace(t), func(s *spec) { s.Scaling = manual(1) })
	create(t, p)
	g.Eventually(replicas(t, p), eventually).Should(BeEquivalentTo(1))
	edit(t, p, types.StrategicMergePatchType, `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}},
		"spec":{"containers":[{"name":"sidecar","image":"sidecar"}]}}}}`)
	update(t, p, func(s *spec) { s.Scaling = manual(3) })
	g.Eventually(replicas(t, p), eventually).Should(BeEquivalentTo(3), "the operator has seen the edit")
	d, err := deployment(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(d.Spec.Template.Spec.Containers); n != 2 ||
		d.Spec.Template.Annotations["kubectl.kubernetes.io/restartedAt"] != "now" {
		t.Errorf("what was added has gone: %d containers, annotations %v", n, d.Spec.Template.Annotations)
	}
	g.Expect(reasons(t, p)()).NotTo(ContainElement("TemplateRestored"))
}

// TestEditsContested: a user who keeps editing is left alone, and the pool reports it.
func TestEditsContested(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	p := pool(namespace(t), func(s *spec) { s.Scaling = manual(1) })
	create(t, p)
	g.Eventually(replicas(t, p), eventually).Should(BeEquivalentTo(1))
	for range 3 {
		edit(t, p, types.StrategicMergePatchType, intruder)
		g.Eventually(image(t, p), eventually).Should(Equal("worker:1"))
	}
	edit(t, p, types.StrategicMergePatchType, intruder)
	g.Eventually(condition(t, p, v1alpha1.ConditionStalled), eventually).Should(Equal("True Contested"))
	g.Expect(image(t, p)()).To(Equal("intruder"))
	update(t, p, func(s *spec) { s.Image = "worker:2" })
	g.Eventually(image(t, p), eventually).Should(Equal("worker:2"), "a change of the pool is applied all the same")
}

// TestDeploymentsDeleted: if a user deletes one Deployment after the other, the pool stops creating
// pods that are deleted again.
func TestDeploymentsDeleted(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	p := pool(namespace(t), func(s *spec) { s.Scaling = manual(1) })
	create(t, p)
	uids := map[types.UID]bool{}
	g.Eventually(func() string {
		if d, err := deployment(t.Context(), p); err == nil {
			uids[d.UID] = true
			if err := k8s.Delete(t.Context(), d); client.IgnoreNotFound(err) != nil {
				t.Error(err)
			}
		}
		return condition(t, p, v1alpha1.ConditionStalled)()
	}, eventually).Should(Equal("True Contested"))
	if n := len(uids); n != 5 {
		t.Errorf("%d Deployments were made, want 5", n)
	}
	if e := reasons(t, p)(); slices.Contains(e, "InvalidPodTemplate") {
		t.Errorf("events %v: a Deployment that is gone has no invalid template", e)
	}
}

// TestEditedWhileAway: a user's edits made while no operator runs are reverted by the next one,
// which does not roll anything that was not edited.
func TestEditedWhileAway(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	p := pool(named(t, soloDrift), func(s *spec) { s.Scaling = manual(1); s.Runtime = execRuntime("cat") })
	create(t, p)
	first := startOperator(t, p.Namespace, "--runtime-image=op:1")
	g.Eventually(replicas(t, p), eventually).Should(BeEquivalentTo(1))
	g.Eventually(condition(t, p, v1alpha1.ConditionStalled), eventually).Should(Equal("False AsExpected"))
	first.stop(os.Interrupt)
	before, err := deployment(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}

	second := startOperator(t, p.Namespace, "--runtime-image=op:1")
	update(t, p, func(s *spec) { s.Scaling = manual(2) })
	g.Eventually(replicas(t, p), eventually).Should(BeEquivalentTo(2))
	second.stop(os.Interrupt)
	after, err := deployment(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if after.Generation != before.Generation+1 {
		t.Errorf("generation %d, then %d: a restart wrote more than the replicas", before.Generation, after.Generation)
	}

	edit(t, p, types.StrategicMergePatchType, intruder)
	startOperator(t, p.Namespace, "--runtime-image=op:1")
	g.Eventually(image(t, p), eventually).Should(Equal("worker:1"))
	g.Eventually(reasons(t, p), eventually).Should(ContainElement("TemplateRestored"))
	g.Consistently(replicas(t, p), time.Second).Should(BeEquivalentTo(2))
}
