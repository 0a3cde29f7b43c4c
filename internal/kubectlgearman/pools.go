package kubectlgearman

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/policy"
)

func (c *plugin) pauseCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "pause POOL",
		Short:             "Leave a pool's replicas as they are until it is resumed",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.completePools,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.setMode(cmd, args[0], v1alpha1.ModePaused, nil, "paused")
		},
	}
}

func (c *plugin) resumeCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "resume POOL",
		Short:             "Let a pool follow its queue again, after pause or scale",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.completePools,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.setMode(cmd, args[0], v1alpha1.ModeAuto, nil, "resumed")
		},
	}
}

func (c *plugin) scaleCommand() *cobra.Command {
	var replicas int32
	cmd := &cobra.Command{
		Use:   "scale POOL --replicas N",
		Short: "Hold a pool at a number of replicas until it is resumed",
		Long: `Hold a pool at a number of replicas until it is resumed.

The pool's minReplicas and maxReplicas, and its schedules, still bound it; the command reports it if they do. A number
below the current replicas removes pods; they finish their jobs first, within the pool's drainSeconds.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.completePools,
		RunE: func(cmd *cobra.Command, args []string) error {
			if replicas < 0 {
				return fmt.Errorf("--replicas must not be negative")
			}
			return c.setMode(cmd, args[0], v1alpha1.ModeManual, &replicas, "scaled to "+strconv.Itoa(int(replicas)))
		},
	}
	cmd.Flags().Int32Var(&replicas, "replicas", 0, "number of replicas")
	// The flag exists: it was defined in the line above.
	_ = cmd.MarkFlagRequired("replicas")
	return cmd
}

// setMode changes a pool's scaling.mode, and nothing else but the number for Manual.
func (c *plugin) setMode(
	cmd *cobra.Command, name string, mode v1alpha1.ScalingMode, replicas *int32, done string,
) error {
	api, namespace, err := c.client()
	if err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{
		"spec": map[string]any{"scaling": map[string]any{"mode": mode, "manualReplicas": replicas}},
	})
	if err != nil {
		return err
	}
	pool := &v1alpha1.GearmanWorkerPool{}
	pool.Name, pool.Namespace = name, namespace
	if err := api.Patch(
		cmd.Context(), pool, client.RawPatch(types.MergePatchType, patch), client.FieldOwner("kubectl-gearman"),
	); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c.Out, "gearmanworkerpool.gearman.dev/%s %s\n", name, done); err != nil {
		return err
	}
	if replicas != nil {
		if text := outOfBounds(&pool.Spec, *replicas, time.Now()); text != "" {
			fmt.Fprintln(c.ErrOut, text)
		}
	}
	return nil
}

// outOfBounds returns how many replicas a pool gets instead of a number outside its bounds; empty
// if it is within them, or if its schedules are invalid: then the operator uses the last valid
// ones.
func outOfBounds(spec *v1alpha1.GearmanWorkerPoolSpec, replicas int32, now time.Time) string {
	compiled, err := policy.Compile(spec)
	if err != nil {
		return ""
	}
	at := compiled.At(now)
	switch {
	case replicas < at.MinReplicas:
		return fmt.Sprintf("The pool keeps %d replicas: to get %d, lower spec.minReplicas, or the schedule that raises it.",
			at.MinReplicas, replicas)
	case replicas > at.MaxReplicas:
		return fmt.Sprintf("The pool gets %d replicas only: to get %d, raise spec.maxReplicas, or the schedule that lowers it.",
			at.MaxReplicas, replicas)
	}
	return ""
}
