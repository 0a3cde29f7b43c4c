// Package apiserver tests the operator against a real kube-apiserver and kube-controller-manager
// and, if queues matter, a real gearmand. There is no scheduler and no kubelet: the tests set the
// pods' status. There is one file per behavior; each test has a namespace of its own, and all run
// in parallel.
package apiserver

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/operator"
	"github.com/gearman-operator/gearman-operator/test/controlplane"
)

var (
	restConfig *rest.Config
	k8s        client.Client
	binaries   string // where the project's programs are built
	// For operators that are processes: one with rights in the whole cluster, one with rights in
	// the namespace soloUpgrade only.
	clusterKubeconfig, namespacedKubeconfig string
	adminKubeconfig                         string // of a user with all rights
)

func TestMain(m *testing.M) {
	// The tests mostly wait, and compute little.
	if err := flag.Set("test.parallel", "32"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(run(m))
}

// run starts one API server and one operator for all tests.
func run(m *testing.M) int {
	o, err := operator.Parse("manager", []string{
		"--metrics-bind-address=0", "--health-probe-bind-address=0", "--runtime-image=gearman-operator:test",
		"--allowed-job-servers=127.0.0.0/8", "--log-format=text", "--log-level=warn",
		"--exclude-namespaces=" + strings.Join(solo, ","),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	operator.SetUpLogging(context.Background(), o) // before any client logs
	dir, err := os.MkdirTemp("", "apiserver-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binaries = dir
	auditLog, auditFlags, err := audit(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "set up the audit log:", err)
		return 1
	}
	plane, err := controlplane.Start(
		controlplane.Options{CRDs: filepath.Join("..", "..", "config", "crd", "bases"), APIServerFlags: auditFlags},
	)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := plane.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	restConfig, adminKubeconfig = plane.Config, plane.Kubeconfig
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	if k8s, err = client.New(restConfig, client.Options{Scheme: scheme}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	rules, err := grant(ctx, k8s)
	if err != nil {
		fmt.Fprintln(os.Stderr, "grant the operator its rights:", err)
		return 1
	}
	operatorConfig, path, err := plane.AddUser(clusterUser, "system:serviceaccounts")
	if err == nil {
		clusterKubeconfig = path
		_, namespacedKubeconfig, err = plane.AddUser(namespacedUser, "system:serviceaccounts")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "make the operators' users:", err)
		return 1
	}
	ended := make(chan error, 1)
	go func() { ended <- operator.Run(ctx, operatorConfig, o) }()
	code := m.Run()
	stop()
	if err := <-ended; err != nil {
		fmt.Fprintln(os.Stderr, "the operator ended with:", err)
		return 1
	}
	if code == 0 && flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == "" {
		if err := checkRights(auditLog, rules); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// namespace creates a namespace for one test. It is not removed: the API server ends with all of
// them.
func namespace(t *testing.T) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "t-"}}
	if err := k8s.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	return ns.Name
}

// pool returns a pool that is accepted unchanged; mutate changes it.
func pool(namespace string, mutate ...func(*v1alpha1.GearmanWorkerPoolSpec)) *v1alpha1.GearmanWorkerPool {
	p := &v1alpha1.GearmanWorkerPool{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pool"},
		Spec: v1alpha1.GearmanWorkerPoolSpec{
			Servers: []v1alpha1.ServerAddress{"127.0.0.1:1"}, Function: "resize", Image: "worker:1",
			Concurrency: 1, MaxReplicas: 10,
		},
	}
	for _, m := range mutate {
		m(&p.Spec)
	}
	return p
}

// eventually is how long to wait for a condition. Usually it takes seconds; on a busy machine it
// may take minutes.
const eventually = 5 * time.Minute
