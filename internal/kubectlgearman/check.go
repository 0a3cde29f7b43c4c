package kubectlgearman

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/poolfile"
)

func (c *plugin) checkCommand() *cobra.Command {
	var files []string
	var server bool
	cmd := &cobra.Command{
		Use:   "check -f FILE...",
		Short: "Check pools in YAML files before they are applied",
		Long: `Check pools in YAML files before they are applied: unknown fields, bounds, rules between fields, durations and
schedules, with the messages that "kubectl apply" would show. It needs no cluster.

With --server the cluster's API server checks the pools too (a dry run: nothing is created or changed).`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			pools, err := checkFiles(c.Out, files)
			if err != nil || !server {
				return err
			}
			api, namespace, err := c.client()
			if err != nil {
				return err
			}
			var errs []error
			for i := range pools {
				pool := &pools[i]
				if pool.Namespace == poolfile.DefaultNamespace {
					pool.Namespace = namespace
				}
				err := api.Create(cmd.Context(), pool, client.DryRunAll, client.FieldOwner("kubectl-gearman"))
				if client.IgnoreAlreadyExists(err) != nil {
					errs = append(errs, fmt.Errorf("pool %s/%s: %w", pool.Namespace, pool.Name, err))
				}
			}
			return errors.Join(errs...)
		},
	}
	cmd.Flags().StringArrayVarP(&files, "filename", "f", nil, "YAML file with pools; may be repeated")
	cmd.Flags().BoolVar(&server, "server", false, "also let the cluster's API server check the pools, without changing anything")
	// The flag exists: it was defined above.
	_ = cmd.MarkFlagRequired("filename")
	return cmd
}

// checkFiles checks the pools of all files and writes a line for each valid one. The error has a line for each problem.
func checkFiles(out io.Writer, files []string) ([]v1alpha1.GearmanWorkerPool, error) {
	var pools []v1alpha1.GearmanWorkerPool
	var errs []error
	for _, file := range files {
		content, err := poolfile.Read(file, poolfile.Options{})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for i := range content.Pools {
			if _, err := fmt.Fprintf(out, "%s: pool %s is valid\n", file, content.Pools[i].Name); err != nil {
				return nil, err
			}
		}
		if len(content.Pools) == 0 {
			errs = append(errs, fmt.Errorf("%s: the file has no GearmanWorkerPool", file))
		}
		pools = append(pools, content.Pools...)
	}
	return pools, errors.Join(errs...)
}
