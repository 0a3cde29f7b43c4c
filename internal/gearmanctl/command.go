package gearmanctl

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gearman-operator/gearman-operator/internal/cli"
	"github.com/gearman-operator/gearman-operator/internal/importer"
	"github.com/gearman-operator/gearman-operator/internal/version"
)

// streams are a command's standard streams.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// Main is the program; it returns its exit code.
func Main(args []string, in io.Reader, out, errs io.Writer) int {
	if len(args) > 0 && args[0] == "worker" {
		return runWorker(args[1:], in, out, errs)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newCommand(streams{in, out, errs})
	root.SetArgs(args)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(cli.Sanitized(errs), "gearmanctl:", err)
		return 1
	}
	return 0
}

func newCommand(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "gearmanctl",
		Short: "Run pools of Gearman workers on this machine, and talk to job servers",
		Long: `Run pools of Gearman workers on this machine, without a cluster, and talk to job servers.

  gearmanctl demo            see a pool work, in half a minute
  gearmanctl up pool.yaml    run pools, from the same files that kubectl apply takes
  gearmanctl status          the queues of a job server (127.0.0.1:4730 unless you name another)`,
		Version:       version.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.AddGroup(
		&cobra.Group{ID: "pools", Title: "Pools on this machine:"}, &cobra.Group{ID: "servers", Title: "Job servers:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, command := range commands {
			command.GroupID = group
			root.AddCommand(command)
		}
	}
	servers := &cli.Commands{
		In: s.in, Out: cli.Sanitized(s.out), ErrOut: cli.Sanitized(s.err), Results: cli.Results(s.out),
		Program: "gearmanctl", Server: "127.0.0.1", DefaultServer: "127.0.0.1:4730",
		Targets: cli.DirectTargets + "\nWithout one, it is 127.0.0.1:4730.", Find: cli.Direct,
	}
	add("pools", upCommand(s), demoCommand(s), importer.NewCommand(), servers.Simulate())
	add("servers", servers.Status(), servers.Jobs(), servers.Workers(), servers.Version(), servers.Submit(), servers.Cancel(), servers.Drop(), servers.Dead(),
		servers.Record(), serveCommand(s), servers.UI(nil))
	return root
}
