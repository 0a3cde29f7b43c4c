package chart

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ofPool returns a Deployment that a pool of its name controls.
func ofPool(name string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, OwnerReferences: []metav1.OwnerReference{
			{
				APIVersion: "gearman.dev/v1alpha1", Kind: "GearmanWorkerPool", Name: name, UID: "1",
				Controller: new(true), BlockOwnerDeletion: new(true),
			},
		}},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: onePod()},
		},
	}
}

func onePod() corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}
}

func somePod(namespace, name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, Annotations: map[string]string{"a": "b"},
			Labels: map[string]string{"l": "m"},
		},
		Spec: onePod(),
	}
}

// testWritesOfTheOperator tries, with the operator's name and all rights, what an attacker would
// try with a stolen token.
func testWritesOfTheOperator(t *testing.T, admin *apiServer) {
	const user = "system:serviceaccount:" + namespace + ":" + release
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "stolen"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	foreign := ofPool("foreign")
	foreign.OwnerReferences = nil
	objects := []client.Object{
		binding, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, somePod("default", "some"),
		somePod("kube-system", "some"), foreign, ofPool("mine"),
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "default"}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "default"}},
	}
	for i := len(objects) - 1; i >= 0; i-- { // the accounts first, which pods need
		if err := admin.Create(t.Context(), objects[i]); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	config := rest.CopyConfig(admin.config)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: user, Groups: []string{"system:serviceaccounts", "system:authenticated"},
	}
	c, err := client.New(config, client.Options{Scheme: admin.scheme})
	if err != nil {
		t.Fatal(err)
	}
	patch := func(o client.Object, body string, sub ...string) error {
		if len(sub) > 0 {
			return c.SubResource(sub[0]).Patch(
				t.Context(), o, client.RawPatch("application/merge-patch+json", []byte(body)),
			)
		}
		return c.Patch(t.Context(), o, client.RawPatch("application/merge-patch+json", []byte(body)))
	}
	ref := func(namespace, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name}
	}
	pod := func(namespace string) *corev1.Pod { return &corev1.Pod{ObjectMeta: ref(namespace, "some")} }
	deployment := func(name string) *appsv1.Deployment { return &appsv1.Deployment{ObjectMeta: ref("default", name)} }
	const cost = `{"metadata":{"annotations":{"controller.kubernetes.io/pod-deletion-cost":"-5"}}}`

	// The policy and the rights take a moment to take effect.
	for deadline := time.Now().Add(time.Minute); patch(pod("default"), cost) != nil ||
		!apierrors.IsForbidden(patch(pod("kube-system"), cost)); {
		if time.Now().After(deadline) {
			t.Fatalf(
				"the policy did not take effect within a minute: %v, %v", patch(pod("default"), cost),
				patch(pod("kube-system"), cost),
			)
		}
		time.Sleep(50 * time.Millisecond)
	}
	otherName := ofPool("other")
	otherName.OwnerReferences[0].Name = "pool"
	notController := ofPool("loose")
	notController.OwnerReferences[0].Controller = nil
	inSystem := ofPool("system")
	inSystem.Namespace = "kube-system"
	const image = `{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"evil"}]}}}}`
	tests := map[string]struct {
		try  func() error
		want string // in the refusal; empty: the operator does this itself
	}{
		"a pod's deletion cost":         {func() error { return patch(pod("default"), cost) }, ""},
		"taking it off":                 {func() error { return patch(pod("default"), strings.Replace(cost, `"-5"`, "null", 1)) }, ""},
		"a pod's image":                 {func() error { return patch(pod("default"), `{"spec":{"containers":[{"name":"c","image":"evil"}]}}`) }, "only the deletion cost of a pod"},
		"a pod's other annotation":      {func() error { return patch(pod("default"), `{"metadata":{"annotations":{"a":"c"}}}`) }, "only the deletion cost of a pod"},
		"taking another annotation off": {func() error { return patch(pod("default"), `{"metadata":{"annotations":{"a":null}}}`) }, "only the deletion cost of a pod"},
		"a new annotation":              {func() error { return patch(pod("default"), `{"metadata":{"annotations":{"x":"y"}}}`) }, "only the deletion cost of a pod"},
		"a pod's label":                 {func() error { return patch(pod("default"), `{"metadata":{"labels":{"l":"n"}}}`) }, "only the deletion cost of a pod"},
		"a pod's finalizer":             {func() error { return patch(pod("default"), `{"metadata":{"finalizers":["a.b/c"]}}`) }, "only the deletion cost of a pod"},
		"a pod's owner": {func() error {
			return patch(pod("default"), `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"p","uid":"1"}]}}`)
		}, "only the deletion cost of a pod"},
		"a pod's deletion cost in kube-system": {
			func() error { return patch(pod("kube-system"), cost) }, "in excluded namespaces",
		},
		"a new pod": {
			func() error { return c.Create(t.Context(), somePod("default", "new")) }, "nothing else",
		},
		"deleting a pod": {
			func() error { return c.Delete(t.Context(), pod("default")) }, "nothing else",
		},
		"a pod's status": {func() error { return patch(pod("default"), `{"status":{"phase":"Failed"}}`, "status") }, "nothing else"},
		"evicting a pod": {func() error {
			return c.SubResource("ephemeralcontainers").Patch(t.Context(), pod("default"), client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"ephemeralContainers":[{"name":"e","image":"evil"}]}}`)))
		}, "nothing else"},
		"a pool's Deployment": {
			func() error { return c.Create(t.Context(), ofPool("created")) }, "",
		},
		"its template": {func() error { return patch(deployment("mine"), image) }, ""},
		"its replicas": {func() error { return patch(deployment("mine"), `{"spec":{"replicas":3}}`) }, ""},
		"another Deployment": {
			func() error { d := ofPool("free"); d.OwnerReferences = nil; return c.Create(t.Context(), d) },
			"of their name controls",
		},
		"a Deployment of a pool of another name": {
			func() error { return c.Create(t.Context(), otherName) }, "of their name controls",
		},
		"a Deployment that a pool does not control": {
			func() error { return c.Create(t.Context(), notController) }, "of their name controls",
		},
		"a Deployment in kube-system": {
			func() error { return c.Create(t.Context(), inSystem) }, "in excluded namespaces",
		},
		"the image of somebody's Deployment": {
			func() error { return patch(deployment("foreign"), image) }, "of their name controls",
		},
		"taking somebody's Deployment over": {func() error {
			return patch(deployment("foreign"), `{"metadata":{"ownerReferences":[{"apiVersion":"gearman.dev/v1alpha1","kind":"GearmanWorkerPool","name":"foreign","uid":"1","controller":true}]}}`)
		}, "neither owner nor selector"},
		"another owner": {func() error {
			return patch(deployment("mine"), `{"metadata":{"ownerReferences":[{"apiVersion":"gearman.dev/v1alpha1","kind":"GearmanWorkerPool","name":"mine","uid":"2","controller":true}]}}`)
		}, "neither owner nor selector"},
		"deleting a Deployment": {
			func() error { return c.Delete(t.Context(), deployment("mine")) }, "nothing else",
		},
		"the scale of somebody's Deployment": {func() error { return patch(deployment("foreign"), `{"spec":{"replicas":2}}`, "scale") }, ""},
	}
	for name, tt := range tests {
		err := tt.try()
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: refused: %v", name, err)
		case tt.want != "" && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: error = %v, want a refusal with %q", name, err, tt.want)
		}
	}
}
