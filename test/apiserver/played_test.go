package apiserver

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	poolac "github.com/gearman-operator/gearman-operator/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/test/world/kube"
)

// played are requests with the API server's answers. They run on the real API server and on the one
// that test/world simulates, and both have to answer alike.
var played = map[string]func(ctx context.Context, c client.Client, ns string) []string{
	"replicas have an owner of their own": func(ctx context.Context, c client.Client, ns string) (seen []string) {
		template := func() *appsv1ac.DeploymentApplyConfiguration { return playedDeployment(ns, "a:1") }
		first := template()
		first.Spec.WithReplicas(0)
		seen = append(seen, applyDeployment(ctx, c, first, "main"), deploymentThere(ctx, c, ns))
		// Each apply needs a new configuration: an answer fills in the resource version, and the
		// Deployment controller writes in between.
		three := func() *appsv1ac.DeploymentApplyConfiguration {
			return appsv1ac.Deployment("d", ns).WithSpec(appsv1ac.DeploymentSpec().WithReplicas(3))
		}
		seen = append(seen, applyDeployment(ctx, c, three(), "scale"), deploymentThere(ctx, c, ns))
		seen = append(seen, applyDeployment(ctx, c, template(), "main"), deploymentThere(ctx, c, ns))
		seen = append(seen, applyDeployment(ctx, c, three(), "scale"), deploymentThere(ctx, c, ns))
		return append(seen, applyDeployment(ctx, c, playedDeployment(ns, "a:2"), "main"), deploymentThere(ctx, c, ns))
	},
	"replicas without an owner fall back to 1": func(ctx context.Context, c client.Client, ns string) (seen []string) {
		first := playedDeployment(ns, "a:1")
		first.Spec.WithReplicas(5)
		seen = append(seen, applyDeployment(ctx, c, first, "main"), deploymentThere(ctx, c, ns))
		return append(seen, applyDeployment(ctx, c, playedDeployment(ns, "a:1"), "main"), deploymentThere(ctx, c, ns))
	},
	"replicas alone make no Deployment": func(ctx context.Context, c client.Client, ns string) []string {
		return []string{
			applyDeployment(
				ctx, c, appsv1ac.Deployment("d", ns).WithSpec(appsv1ac.DeploymentSpec().WithReplicas(3)), "scale",
			),
			deploymentThere(ctx, c, ns),
		}
	},
	"an apply with a uid makes no Deployment": func(ctx context.Context, c client.Client, ns string) (seen []string) {
		with := func(uid types.UID) *appsv1ac.DeploymentApplyConfiguration {
			d := playedDeployment(ns, "a:1").WithUID(uid)
			d.Spec.WithReplicas(3)
			return d
		}
		other := types.UID("00000000-0000-0000-0000-000000000001")
		seen = append(seen, applyDeployment(ctx, c, with(other), "main"), deploymentThere(ctx, c, ns))
		seen = append(seen, applyDeployment(ctx, c, with(""), "main"), deploymentThere(ctx, c, ns))
		three := appsv1ac.Deployment("d", ns).WithUID(other).WithSpec(appsv1ac.DeploymentSpec().WithReplicas(9))
		seen = append(seen, applyDeployment(ctx, c, three, "scale"), deploymentThere(ctx, c, ns))
		var d appsv1.Deployment
		if err := c.Get(ctx, client.ObjectKey{Namespace: ns, Name: "d"}, &d); err != nil {
			return append(seen, err.Error())
		}
		three = appsv1ac.Deployment("d", ns).WithUID(d.UID).WithSpec(appsv1ac.DeploymentSpec().WithReplicas(9))
		return append(seen, applyDeployment(ctx, c, three, "scale"), deploymentThere(ctx, c, ns))
	},
	"a pod's cost is set and taken off": func(ctx context.Context, c client.Client, ns string) (seen []string) {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "p", Annotations: map[string]string{"other": "x"}},
		}
		pod.Spec.Containers = []corev1.Container{{Name: "worker", Image: "a:1"}}
		seen = append(seen, outcome(c.Create(ctx, pod)))
		for _, value := range []string{`"-5"`, `"-5"`, "null", "null"} {
			p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "p"}}
			err := c.Patch(ctx, p, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"annotations":{"cost":%s}}}`, value)), client.FieldOwner("scale"))
			seen = append(
				seen, fmt.Sprintf("%s cost %q other %q", outcome(err), p.Annotations["cost"], p.Annotations["other"]),
			)
		}
		gone := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "none"}}
		return append(seen, outcome(c.Patch(ctx, gone, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"cost":"1"}}}`)))))
	},
	"a status is applied whatever uid it names": func(ctx context.Context, c client.Client, _ string) (seen []string) {
		const ns = "kube-system" // no operator works there
		pool := playedPool(ns, 0, 3)
		seen = append(seen, outcome(c.Create(ctx, pool)), fmt.Sprint(pool.Generation, pool.Spec.Concurrency))
		for i, uid := range []types.UID{pool.UID, "00000000-0000-0000-0000-000000000000"} {
			status := poolac.GearmanWorkerPool("p", ns).WithUID(uid).WithStatus(
				poolac.GearmanWorkerPoolStatus().WithObservedGeneration(1).WithReplicas(int32(2 + i)),
			)
			seen = append(
				seen, outcome(c.Status().Apply(ctx, status, client.FieldOwner("main"), client.ForceOwnership)),
			)
		}
		var now v1alpha1.GearmanWorkerPool
		err := c.Get(ctx, client.ObjectKeyFromObject(pool), &now)
		return append(seen, fmt.Sprint(outcome(err), now.Generation, now.Status.Replicas), outcome(c.Delete(ctx, pool)))
	},
	"bounds are checked": func(ctx context.Context, c client.Client, ns string) []string {
		return []string{outcome(c.Create(ctx, playedPool(ns, 4, 3)))}
	},
	"a status that changes nothing makes no version": func(
		ctx context.Context, c client.Client, _ string,
	) (seen []string) {
		const ns = "kube-system" // no operator works there
		pool := playedPool(ns, 0, 3)
		pool.Name = "versions"
		seen = append(seen, outcome(c.Create(ctx, pool)))
		last := pool.ResourceVersion
		for _, replicas := range []int32{2, 2, 3} {
			status := poolac.GearmanWorkerPool(pool.Name, ns).WithStatus(
				poolac.GearmanWorkerPoolStatus().WithReplicas(replicas),
			)
			seen = append(
				seen, outcome(c.Status().Apply(ctx, status, client.FieldOwner("main"), client.ForceOwnership)),
			)
			order, err := resourceversion.CompareResourceVersion(*status.ResourceVersion, last)
			seen = append(seen, fmt.Sprintf("%s, later by %d", outcome(err), order))
			last = *status.ResourceVersion
		}
		return append(seen, outcome(c.Delete(ctx, pool)))
	},
	"an object is created once": func(ctx context.Context, c client.Client, ns string) []string {
		pod := func() *corev1.Pod {
			return &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "p"},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "worker", Image: "a:1"}}},
			}
		}
		return []string{outcome(c.Create(ctx, pod())), outcome(c.Create(ctx, pod()))}
	},
	"a pool has one source of each thing": func(ctx context.Context, c client.Client, ns string) []string {
		functions, workload, servers := playedPool(ns, 0, 3), playedPool(ns, 0, 3), playedPool(ns, 0, 3)
		functions.Spec.Functions = []v1alpha1.FunctionName{"g"}
		workload.Spec.TargetRef = &v1alpha1.TargetRef{Kind: "Deployment", Name: "d"}
		servers.Spec.Servers = nil
		return []string{
			outcome(c.Create(ctx, functions)), outcome(c.Create(ctx, workload)), outcome(c.Create(ctx, servers)),
		}
	},
	"a scale is written": func(ctx context.Context, c client.Client, ns string) (seen []string) {
		first := playedDeployment(ns, "a:1")
		first.Spec.WithReplicas(0)
		seen = append(seen, applyDeployment(ctx, c, first, "main"))
		for _, n := range []int32{4, 4} {
			var answer autoscalingv1.Scale
			d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "d"}}
			err := c.SubResource("scale").Patch(ctx, d, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, n)),
				client.WithSubResourceBody(&answer))
			seen = append(seen, fmt.Sprintf("%s %d", outcome(err), answer.Spec.Replicas))
			var now appsv1.Deployment
			err = c.Get(ctx, client.ObjectKeyFromObject(d), &now)
			seen = append(seen, fmt.Sprint(outcome(err), now.Generation, *now.Spec.Replicas))
		}
		return seen
	},
	"what isn't there is not found": func(ctx context.Context, c client.Client, ns string) []string {
		return []string{outcome(c.Delete(ctx, playedPool(ns, 0, 1))), deploymentThere(ctx, c, ns)}
	},
}

// TestPlayed: the simulated API server answers as the real one does.
func TestPlayed(t *testing.T) {
	t.Parallel()
	for name, scenario := range played {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := scenario(t.Context(), k8s, namespace(t))
			got := scenario(t.Context(), kube.NewClient(kube.NewServer(1), nil), "ns")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the played API server answers otherwise (- the real one):\n%s", diff)
			}
			if len(want) == 0 {
				t.Error("nothing was compared")
			}
		})
	}
}

func playedDeployment(ns, image string) *appsv1ac.DeploymentApplyConfiguration {
	labels := map[string]string{"app": "d"}
	return appsv1ac.Deployment("d", ns).WithSpec(appsv1ac.DeploymentSpec().
		WithSelector(metav1ac.LabelSelector().WithMatchLabels(labels)).
		WithTemplate(corev1ac.PodTemplateSpec().WithLabels(labels).
			WithSpec(corev1ac.PodSpec().WithContainers(corev1ac.Container().WithName("worker").WithImage(image)))))
}

func playedPool(ns string, least, most int32) *v1alpha1.GearmanWorkerPool {
	p := &v1alpha1.GearmanWorkerPool{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "p"}}
	p.Spec.Servers, p.Spec.Function, p.Spec.Image = []v1alpha1.ServerAddress{"gearmand:4730"}, "f", "a:1"
	p.Spec.MinReplicas, p.Spec.MaxReplicas = least, most
	return p
}

func applyDeployment(
	ctx context.Context, c client.Client, d *appsv1ac.DeploymentApplyConfiguration, owner string,
) string {
	return outcome(c.Apply(ctx, d, client.FieldOwner(owner), client.ForceOwnership))
}

// deploymentThere returns the Deployment's current values, with the owners of its replicas.
func deploymentThere(ctx context.Context, c client.Client, ns string) string {
	var d appsv1.Deployment
	if err := c.Get(ctx, client.ObjectKey{Namespace: ns, Name: "d"}, &d); err != nil {
		return outcome(err)
	}
	var owners []string
	for _, e := range d.ManagedFields {
		if e.FieldsV1 != nil && strings.Contains(e.FieldsV1.GetRawString(), `"f:replicas"`) && e.Subresource == "" {
			owners = append(owners, e.Manager)
		}
	}
	return fmt.Sprintf(
		"generation %d, replicas %d of %v, image %s", d.Generation, *d.Spec.Replicas, owners,
		d.Spec.Template.Spec.Containers[0].Image,
	)
}

func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	if reason := apierrors.ReasonForError(err); reason != metav1.StatusReasonUnknown {
		return string(reason)
	}
	return err.Error()
}
