package operator

import (
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/test/controlplane"
)

// ControlPlane starts a control plane with the operator's CRDs for a test, and returns it with a
// client. controllerFlags are the flags of its kube-controller-manager; nil: the defaults.
func ControlPlane(t *testing.T, controllerFlags []string) (*controlplane.ControlPlane, client.WithWatch) {
	t.Helper()
	plane, err := controlplane.Start(controlplane.Options{
		CRDs: filepath.Join("..", "..", "..", "config", "crd", "bases"), ControllerFlags: controllerFlags,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
	})
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	k8s, err := client.NewWithWatch(plane.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return plane, k8s
}
