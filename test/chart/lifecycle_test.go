package chart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

const crdName = "gearmanworkerpools.gearman.dev"

// cluster is an API server that helm installs into.
type cluster struct {
	client.Client
	kubeconfig string
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Skip("no API server to test with: run make test, which builds it")
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, v1alpha1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	environment := &envtest.Environment{}
	config, err := environment.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			t.Error(err)
		}
	})
	user, err := environment.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := user.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, data, 0o600); err != nil {
		t.Fatal(err)
	}
	api, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return &cluster{api, kubeconfig}
}

func (c *cluster) helm(t *testing.T, args ...string) {
	t.Helper()
	args = append(args, "--namespace", namespace, "--kubeconfig", c.kubeconfig)
	if _, stderr, err := helm(t, args...); err != nil {
		t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, stderr)
	}
}

// exists reports whether an object exists.
func (c *cluster) exists(t *testing.T, object client.Object) bool {
	t.Helper()
	err := c.Get(t.Context(), client.ObjectKeyFromObject(object), object)
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	return err == nil
}

func (c *cluster) crd(t *testing.T) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: crdName}}
	if !c.exists(t, crd) {
		return nil
	}
	return crd
}

// olderChart returns a copy of the chart with one field less in its CRD, as an earlier version may
// have had.
func olderChart(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "gearman-operator")
	if err := os.CopyFS(dir, os.DirFS(chartPath)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "files", "gearman.dev_gearmanworkerpools.yaml")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	older := strings.ReplaceAll(string(data), "    shortNames:\n    - gwp\n", "")
	if older == string(data) {
		t.Fatal("the CRD has no short names that could be left out")
	}
	if err := os.WriteFile(path, []byte(older), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestLifecycle tests the life of a release on a real API server: an upgrade upgrades the CRD;
// uninstalling leaves the pools, and nothing else; installing again adopts them; with
// crds.keep=false nothing is left at all.
func TestLifecycle(t *testing.T) {
	t.Parallel()
	if _, _, err := helm(t, "version"); err != nil { // skips without helm, before an API server is started
		t.Fatal(err)
	}
	c := startCluster(t)

	c.helm(t, "install", release, olderChart(t), "--create-namespace")
	if crd := c.crd(t); crd == nil || len(crd.Spec.Names.ShortNames) > 0 {
		t.Fatalf("the older chart's CRD is not there: %v", crd)
	}
	c.helm(t, "upgrade", release, chartPath)
	crd := c.crd(t)
	if crd == nil || len(crd.Spec.Names.ShortNames) == 0 {
		t.Fatal("the upgrade did not upgrade the CRD")
	}
	uid := crd.UID

	// The admission policy applies to the administrator too, who may do everything.
	p := pool("kept", nil)
	if err := c.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}

	c.helm(t, "uninstall", release)
	if !c.exists(t, p) {
		t.Fatal("uninstalling deleted the pool")
	}
	for _, object := range render(t) {
		left := c.exists(t, object.DeepCopy())
		if want := object.GetKind() == "CustomResourceDefinition"; left != want {
			t.Errorf("after uninstalling, %s %s exists = %t, want %t", object.GetKind(), object.GetName(), left, want)
		}
	}
	var secrets corev1.SecretList
	if err := c.List(t.Context(), &secrets, client.InNamespace(namespace)); err != nil || len(secrets.Items) > 0 {
		t.Errorf("after uninstalling, %d Secrets are left in the namespace (%v)", len(secrets.Items), err)
	}

	c.helm(t, "install", release, chartPath, "--set", "crds.keep=false")
	if crd := c.crd(t); crd == nil || crd.UID != uid {
		t.Error("installing again did not take up the CRD that was there")
	}
	if !c.exists(t, p) {
		t.Error("installing again deleted the pool")
	}
	c.helm(t, "uninstall", release)
	for _, object := range render(t) {
		if !goneOrGoing(t, c, object) {
			t.Errorf("with crds.keep=false, %s %s is left", object.GetKind(), object.GetName())
		}
	}
}

// goneOrGoing reports whether an object is deleted or being deleted. A CRD's objects are deleted
// with it, which takes a moment.
func goneOrGoing(t *testing.T, c *cluster, object *unstructured.Unstructured) bool {
	t.Helper()
	now := object.DeepCopy()
	return !c.exists(t, now) || now.GetDeletionTimestamp() != nil
}
