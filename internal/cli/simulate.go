package cli

import (
	"errors"
	"flag"

	"github.com/spf13/cobra"

	"github.com/gearman-operator/gearman-operator/internal/sim/report"
)

// Simulate is the command that simulates a pool with a trace.
func (c *Commands) Simulate() *cobra.Command {
	return &cobra.Command{
		Use:   "simulate -pool FILE -trace FILE",
		Short: "Play a pool against a trace: waits, replicas and cost, beside other autoscalers",
		Long: `Play a pool's manifest against a recorded trace or a generated workload, and show waits, replicas and cost beside other
autoscalers. Nothing is sent to any cluster. "record" makes a trace; -help lists all flags.`,
		Example: c.examples(`  PROGRAM record SERVER --function resize --duration 1h -f trace.csv
  PROGRAM simulate -pool pool.yaml -trace trace.csv -out plots`),
		// The flags are the simulator's own.
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			o, err := report.Parse(c.Program+" simulate", args, c.ErrOut)
			if errors.Is(err, flag.ErrHelp) {
				return nil
			}
			if err != nil {
				return err
			}
			return report.Run(o, c.Out)
		},
	}
}
