package kubectlgearman

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/poolfile"
	"github.com/gearman-operator/gearman-operator/internal/version"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

func (c *plugin) renderCommand() *cobra.Command {
	var files []string
	var image string
	cmd := &cobra.Command{
		Use:   "render -f FILE...",
		Short: "Show the Deployments that the operator would create for pools in YAML files",
		Long: `Show the Deployments that the operator would create for pools in YAML files. It needs no cluster.

spec.replicas is left out: the operator sets it as the queue needs.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			pools, err := checkFiles(io.Discard, files)
			if err != nil {
				return err
			}
			return render(c.Out, pools, image)
		},
	}
	cmd.Flags().StringArrayVarP(&files, "filename", "f", nil, "YAML file with pools; may be repeated")
	cmd.Flags().StringVar(
		&image, "runtime-image", "gearman-operator:"+version.Version,
		"the operator's image, from which pods take the worker runtime",
	)
	// The flag exists: it was defined above.
	_ = cmd.MarkFlagRequired("filename")
	return cmd
}

// render writes the Deployments of pools as YAML documents.
func render(out io.Writer, pools []v1alpha1.GearmanWorkerPool, image string) error {
	var errs []error
	for i := range pools {
		pool := &pools[i]
		if ref := pool.Spec.TargetRef; ref != nil {
			if _, err := fmt.Fprintf(
				out, "---\n# Pool %s has no Deployment of its own: it scales the %s %s.\n", pool.Name, ref.Kind,
				ref.Name,
			); err != nil {
				return err
			}
			continue
		}
		text, err := deploymentYAML(pool, image)
		if err != nil {
			errs = append(errs, fmt.Errorf("pool %s: %w", pool.Name, err))
			continue
		}
		if _, err := fmt.Fprintf(out, "---\n# The Deployment of pool %s\n%s", pool.Name, text); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

// deploymentYAML returns a pool's Deployment without fields that only a cluster sets.
func deploymentYAML(pool *v1alpha1.GearmanWorkerPool, image string) ([]byte, error) {
	pool = pool.DeepCopy()
	if pool.Namespace == poolfile.DefaultNamespace {
		pool.Namespace = ""
	}
	d, err := workload.Deployment(pool, workload.RuntimeImage{Image: image})
	if err != nil {
		return nil, err
	}
	d.OwnerReferences = nil // only a cluster knows the pool's UID
	if pool.Namespace == "" {
		d.Namespace = nil
	}
	data, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	return yaml.JSONToYAML(data)
}
