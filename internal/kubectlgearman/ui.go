package kubectlgearman

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/cli"
)

// uiPools adds the cluster's pools to the page.
func (c *plugin) uiPools(name string) *cli.PoolPage {
	allNamespaces := false
	return &cli.PoolPage{
		Short: "Serve a page about pools: what is wrong, their queues and workers, and why",
		Long: `Serve a page about pools: what is wrong, their queues and workers, and why they have their number of replicas.

The pools and their pods are read with your own permissions (list and watch), from their status: replicas and reasons are
current, the figures of the queue may be up to a minute old. --server adds job servers, whose queues are read each second.
The page listens on the loopback address, and its address ends with a random token: anyone who knows it sees what you
may read. The page is read-only unless --ui-actions lets its readers submit jobs.`,
		Example: fmt.Sprintf("  %s ui -n jobs\n  %s ui -A --server svc/gearmand", name, name),
		AddFlags: func(cmd *cobra.Command) {
			cmd.Flags().BoolVarP(&allNamespaces, "all-namespaces", "A", false, "pools of all namespaces")
		},
		Open: func(ctx context.Context) (cli.PoolSource, error) {
			api, namespace, err := c.watchingClient()
			if err != nil {
				return nil, err
			}
			if allNamespaces {
				namespace = ""
			}
			return openPoolSource(ctx, api, namespace, c.reach)
		},
	}
}

// watchingClient returns a client that can watch, and the namespace to work in.
func (c *plugin) watchingClient() (api client.WithWatch, namespace string, err error) {
	// client-go logs each watch that fails; the page shows it.
	klog.SetLogger(logr.Discard())
	err = c.connect(func(config *rest.Config, scheme *runtime.Scheme, in string) (err error) {
		namespace = in
		api, err = client.NewWithWatch(config, client.Options{Scheme: scheme})
		return err
	})
	return api, namespace, err
}

// openPoolSource checks the user's rights. Reading pools is required; without pods, the page shows
// no workers.
func openPoolSource(
	ctx context.Context, api client.WithWatch, namespace string, reach func([]endpoint) []cli.Endpoint,
) (cli.PoolSource, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	if err := api.List(
		ctx, &v1alpha1.GearmanWorkerPoolList{}, client.InNamespace(namespace), client.Limit(1),
	); err != nil {
		return nil, fmt.Errorf("list pools: %w", err)
	}
	s := newPoolSource(api, namespace, reach)
	err := api.List(ctx, &corev1.PodList{}, client.InNamespace(namespace), client.Limit(1))
	switch {
	case apierrors.IsForbidden(err):
		s.pods = nil
	case err != nil:
		return nil, fmt.Errorf("list pods: %w", err)
	}
	return s, nil
}
