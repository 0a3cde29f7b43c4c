package kubectlgearman

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

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

With --server it also checks, without changing anything, whether the API server accepts the pools (a dry run), whether you have the
rights that a pool needs, whether the Secrets and targets that the pools name exist, and whether the job servers answer. The job
servers are checked from this machine, through port-forwards for names of the cluster, so NetworkPolicies are not checked.`,
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
			checks := serverChecks{api: api, reach: func(
				ctx context.Context, pool *v1alpha1.GearmanWorkerPool, server v1alpha1.ServerAddress,
			) error {
				return c.reachServer(ctx, api, pool, server)
			}}
			var failed error
			for i := range pools {
				pool := &pools[i]
				if pool.Namespace == poolfile.DefaultNamespace {
					pool.Namespace = namespace
				}
				if err := checks.check(cmd.Context(), c.Out, pool); errors.Is(err, errChecks) {
					failed = err
				} else if err != nil {
					return err
				}
			}
			return failed
		},
	}
	cmd.Flags().StringArrayVarP(&files, "filename", "f", nil, "YAML file with pools; may be repeated")
	cmd.Flags().BoolVar(&server, "server", false, "also check the pools against the cluster, without changing anything")
	// The flag exists: it was defined above.
	_ = cmd.MarkFlagRequired("filename")
	return cmd
}

// checkFiles checks the pools of all files and writes a line for each valid one. The error has a
// line for each problem.
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
