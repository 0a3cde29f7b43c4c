package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// Owner is the field owner of everything that is applied here.
const Owner = "gearman-test"

// Cluster is a connection to a cluster.
type Cluster struct {
	Client client.Client
	API    kubernetes.Interface
	Config *rest.Config
	// Kubeconfig is the path of the kubeconfig, for programs that need one.
	Kubeconfig string
}

// Connect reads the kubeconfig that the environment's KUBECONFIG names. There is no default, so
// that nobody's own cluster is used by accident.
func Connect() (*Cluster, error) {
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		return nil, errors.New("KUBECONFIG is not set: run this through make, or export what make cluster-up prints")
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	// Many tests share one process, and would wait because of the usual limit of 5 requests a
	// second.
	config.QPS, config.Burst = 100, 200
	scheme := clientgoscheme.Scheme
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	api, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return &Cluster{Client: c, API: api, Config: config, Kubeconfig: path}, nil
}

// Root returns the project's folder: the one above that has the go.mod.
func Root() string {
	dir, err := filepath.Abs(".")
	for err == nil && dir != filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	return "."
}

// ApplyFile applies each object of a YAML file of the project with server-side apply. edit may
// change it before.
func (c *Cluster) ApplyFile(ctx context.Context, file string, edit func(*unstructured.Unstructured)) error {
	f, err := os.Open(filepath.Join(Root(), file))
	if err != nil {
		return err
	}
	defer f.Close()
	return c.Apply(ctx, f, edit)
}

// Apply is ApplyFile for YAML from anywhere.
func (c *Cluster) Apply(ctx context.Context, r io.Reader, edit func(*unstructured.Unstructured)) error {
	decoder := yaml.NewYAMLOrJSONDecoder(r, 4096)
	for {
		u := &unstructured.Unstructured{}
		if err := decoder.Decode(&u.Object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("decoding: %w", err)
		}
		if len(u.Object) == 0 {
			continue
		}
		if edit != nil {
			edit(u)
		}
		err := c.Client.Apply(
			ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(Owner), client.ForceOwnership,
		)
		if err != nil {
			return fmt.Errorf("applying %s %s: %w", u.GetKind(), u.GetName(), err)
		}
	}
}

// MakeNamespace creates the namespace if it is missing.
func (c *Cluster) MakeNamespace(ctx context.Context, name string) error {
	ns := &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app.kubernetes.io/managed-by": Owner}},
	}
	if err := c.Client.Create(ctx, ns); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating namespace %s: %w", name, err)
	}
	return nil
}

// DeleteNamespace deletes the namespace and waits until it is gone.
func (c *Cluster) DeleteNamespace(ctx context.Context, name string) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := c.Client.Delete(ctx, ns); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting namespace %s: %w", name, err)
	}
	return Wait(ctx, func(ctx context.Context) error {
		err := c.Client.Get(ctx, client.ObjectKeyFromObject(ns), ns)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(fmt.Errorf("namespace %s still exists", name), err)
	})
}

// ClearNamespace deletes what runs in the namespace without waiting for any job, and then the
// namespace. The namespace controller alone checks again only after half of the longest grace
// period among the pods, however soon they ended. For a pool with a long drain that takes minutes.
func (c *Cluster) ClearNamespace(ctx context.Context, name string) error {
	for _, kind := range []client.Object{&v1alpha1.GearmanWorkerPool{}, &appsv1.Deployment{}, &appsv1.StatefulSet{}} {
		err := c.Client.DeleteAllOf(
			ctx, kind, client.InNamespace(name), client.PropagationPolicy(metav1.DeletePropagationBackground),
		)
		if client.IgnoreNotFound(err) != nil && !meta.IsNoMatchError(err) { // the CRD may be gone
			return fmt.Errorf("emptying namespace %s: %w", name, err)
		}
	}
	err := Wait(ctx, func(ctx context.Context) error {
		// The pods are deleted each time, since a ReplicaSet that is about to be collected may
		// still make one.
		err := c.Client.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(name), client.GracePeriodSeconds(1))
		var pods corev1.PodList
		if err := errors.Join(err, c.Client.List(ctx, &pods, client.InNamespace(name))); err != nil {
			return err
		}
		if n := len(pods.Items); n > 0 {
			return fmt.Errorf("%d pods are left in namespace %s, such as %s", n, name, pods.Items[0].Name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.DeleteNamespace(ctx, name)
}

// Wait calls check each second until it returns nil. When the context ends, Wait returns the error
// of the last check that the context did not cut short.
func Wait(ctx context.Context, check func(context.Context) error) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var missing error
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || missing == nil {
			missing = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("gave up waiting: %w", missing)
		case <-tick.C:
		}
	}
}
