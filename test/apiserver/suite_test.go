// Package apiserver tests the operator against a real kube-apiserver and kube-controller-manager (no scheduler and no kubelet: the tests play
// the pods' status) and, where queues matter, a real gearmand. One file per behaviour; each test has a namespace of its own and all run
// side by side.
package apiserver

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
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
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/operator"
)

var (
	restConfig *rest.Config
	kubeconfig string // of an administrator, for processes
	k8s        client.Client
)

func TestMain(m *testing.M) {
	// The tests wait far more than they compute.
	if err := flag.Set("test.parallel", "32"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(run(m))
}

// run brings up one API server and one operator for all tests.
func run(m *testing.M) int {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		fmt.Fprintln(os.Stderr, "KUBEBUILDER_ASSETS is not set: run `make test`, or set it to the directory that `make envtest-assets` prints")
		return 1
	}
	o, err := operator.Parse("manager", []string{
		"--metrics-bind-address=0", "--health-probe-bind-address=0", "--runtime-image=gearman-operator:test",
		"--allowed-job-servers=127.0.0.0/8", "--log-format=text", "--log-level=warn", "--exclude-namespaces=" + strings.Join(solo, ","),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	operator.SetUpLogging(o) // before any client logs
	env := &envtest.Environment{
		CRDDirectoryPaths:        []string{filepath.Join("..", "..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: 2 * time.Minute,
	}
	// How long it waits for open watches when it is stopped.
	env.ControlPlane.GetAPIServer().Configure().Set("request-timeout", "10s")
	cfg, err := env.Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "start the API server:", err)
		return 1
	}
	stopControllers, err := startControllers(env)
	if err != nil {
		fmt.Fprintln(os.Stderr, "start the controller-manager:", err)
		return 1
	}
	defer stopControllers()
	restConfig = cfg
	restConfig.QPS = -1
	defer func() {
		if err := env.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the API server:", err)
		}
	}()
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
	ended := make(chan error, 1)
	go func() { ended <- operator.Run(ctx, restConfig, o) }()
	code := m.Run()
	stop()
	if err := <-ended; err != nil {
		fmt.Fprintln(os.Stderr, "the operator ended with:", err)
		return 1
	}
	return code
}

// startControllers runs the controllers that make pods of Deployments, until stop.
func startControllers(env *envtest.Environment) (stop func(), err error) {
	user, err := env.AddUser(envtest.User{Name: "controllers", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		return nil, err
	}
	config, err := user.KubeConfig()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "controllers-")
	if err != nil {
		return nil, err
	}
	kubeconfig = filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(kubeconfig, config, 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kube-controller-manager"), "--kubeconfig="+kubeconfig,
		"--controllers=deployment-controller,replicaset-controller,statefulset-controller,garbage-collector-controller", "--leader-elect=false", "--secure-port=0",
		"--kube-api-qps=500", "--kube-api-burst=1000")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = log.Close()
		_ = os.RemoveAll(dir)
	}, nil
}

// namespace makes a namespace for one test. It is not removed: the API server goes with all of them.
func namespace(t *testing.T) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "t-"}}
	if err := k8s.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	return ns.Name
}

// pool is a pool that is accepted as it is; mutate changes it.
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

const eventually = 60 * time.Second
