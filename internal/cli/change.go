package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
)

// changeOptions are the flags of commands that change something at one job server.
type changeOptions struct {
	connect connectOptions
	server  string
	force   bool
}

// Cancel is the command that cancels a queued job.
func (c *Commands) Cancel() *cobra.Command {
	var o changeOptions
	cmd := &cobra.Command{
		Use:   "cancel HANDLE",
		Short: "Cancel a queued job",
		Long: `Cancel a queued job. HANDLE is what submit --background prints, H:host:1@server:port, or the handle alone and --at SERVER.

A job that already runs is not stopped: the job server does not notify its worker. The job counts as queued until a worker
would have taken it.

` + c.Targets,
		Example: c.examples("  PROGRAM cancel H:host:17 --at SERVER"),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			handle, server, _ := strings.Cut(args[0], "@")
			if o.server == "" {
				o.server = server
			}
			return c.change(cmd.Context(), &o, func(name string, conn *admin.Conn) error {
				if err := conn.CancelJob(cmd.Context(), handle); err != nil {
					return err
				}
				_, err := fmt.Fprintf(c.Out, "%s: canceled %s\n", name, Printable(handle))
				return err
			})
		},
	}
	o.addFlags(cmd)
	return cmd
}

// Drop is the command that removes a function from a job server.
func (c *Commands) Drop() *cobra.Command {
	var o changeOptions
	cmd := &cobra.Command{
		Use:   "drop FUNCTION",
		Short: "Remove a function that nobody uses from a job server",
		Long: `Remove a function that nobody uses from a job server, so that its lists no longer show it. Workers and clients bring it back
by using it.

A function with jobs or workers is refused: gearmand would lose its jobs. --force removes it all the same.

` + c.Targets,
		Example: c.examples("  PROGRAM drop old_function --at SERVER"),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.change(cmd.Context(), &o, func(name string, conn *admin.Conn) error {
				return c.drop(cmd.Context(), name, conn, args[0], o.force)
			})
		},
	}
	o.addFlags(cmd)
	cmd.Flags().BoolVar(
		&o.force, "force", false, "remove the function even if it has jobs or workers; its jobs are lost",
	)
	return cmd
}

func (c *Commands) drop(ctx context.Context, name string, conn *admin.Conn, function string, force bool) error {
	functions, err := conn.Status(ctx)
	if err != nil {
		return err
	}
	known := false
	for _, f := range functions {
		if f.Function != function {
			continue
		}
		known = true
		if !force && (f.Total > 0 || f.Workers > 0) {
			return fmt.Errorf(
				"%s has %d jobs and %d workers: stop them first, or drop it with --force and lose the jobs",
				Printable(function), f.Total, f.Workers,
			)
		}
	}
	if !known {
		return fmt.Errorf("there is no function %s", Printable(function))
	}
	if err := conn.DropFunction(ctx, function); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.Out, "%s: dropped %s\n", name, Printable(function))
	return err
}

func (o *changeOptions) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.server, "at", "", "the job server")
	o.connect.addFlags(cmd)
}

// change calls f for the one job server that the options name.
func (c *Commands) change(ctx context.Context, o *changeOptions, f func(string, *admin.Conn) error) error {
	server := o.server
	if server == "" {
		server = c.DefaultServer
	}
	if server == "" {
		return errors.New("name the job server with --at")
	}
	found, err := c.Find(ctx, server)
	if err != nil {
		return err
	}
	if len(found) != 1 {
		names := make([]string, len(found))
		for i, e := range found {
			names[i] = e.Name
		}
		return fmt.Errorf("%s stands for %d job servers: name one of %s", server, len(found), strings.Join(names, ", "))
	}
	tlsConfig, err := o.connect.tlsConfig()
	if err != nil {
		return err
	}
	dial := admin.Options{
		TLS: tlsConfig, Timeout: o.connect.timeout, ConnectTimeout: o.connect.timeout,
		ServerName: o.connect.serverNameOf(server),
	}
	if err := oneServer(ctx, found[0], dial, f); err != nil {
		return fmt.Errorf("%s: %w", found[0].Name, err)
	}
	return nil
}
