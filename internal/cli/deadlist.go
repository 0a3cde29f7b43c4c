package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
)

// deadRow is a dead letter function at one job server.
type deadRow struct {
	Server   string `json:"server"`
	Function string `json:"function"`
	Jobs     uint64 `json:"jobs"`
	Running  int64  `json:"running"`
	Workers  uint64 `json:"workers"`
}

var deadColumns = []Column[deadRow]{
	{Title: "SERVER", Text: func(r deadRow) string { return r.Server }},
	{Title: "FUNCTION", Text: func(r deadRow) string { return r.Function }},
	{Title: "JOBS", Text: func(r deadRow) string { return strconv.FormatUint(r.Jobs, 10) }},
	{Title: "RUNNING", Text: func(r deadRow) string { return strconv.FormatInt(r.Running, 10) }},
	{Title: "WORKERS", Text: func(r deadRow) string { return strconv.FormatUint(r.Workers, 10) }},
}

// deadList is the command that counts dead letters.
func (c *Commands) deadList() *cobra.Command {
	var format string
	var o changeOptions
	cmd := &cobra.Command{
		Use:   "list FUNCTION...",
		Short: "Count the jobs of dead letter functions; none is taken",
		Long: `Count the jobs of dead letter functions at each job server. It reads the job server's list of functions and takes no job, so
it changes nothing. RUNNING jobs are those that somebody holds at the moment, another "dead" command for example. A function with
WORKERS loses its dead letters to them.

A job server cannot list the jobs of a function. "dead show" takes each job, submits a copy of it to the same function, and then
completes the one that it took.

` + c.Targets,
		Example: c.examples("  PROGRAM dead list resize.dead mail.dead --at SERVER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := CheckFormat(format); err != nil {
				return err
			}
			server := cmp.Or(o.server, c.DefaultServer)
			if server == "" {
				return errors.New("name the job server with --at")
			}
			functions, err := c.deadFunctions(cmd.Context(), args, server)
			if err != nil {
				return err
			}
			var rows []deadRow
			err = c.eachServer(cmd.Context(), []string{server}, &o.connect, func(name string, conn *admin.Conn) error {
				found, err := countDead(cmd.Context(), name, conn, functions)
				rows = append(rows, found...)
				return err
			})
			if err != nil && len(rows) == 0 {
				return err
			}
			// Answers are shown even if another server gave none.
			return errors.Join(WriteRows(c.Out, format, deadColumns, rows), err)
		},
	}
	AddOutputFlag(cmd, &format)
	o.addFlags(cmd)
	return cmd
}

// deadFunctions are the functions to count: the named ones, or those of the target.
func (c *Commands) deadFunctions(ctx context.Context, named []string, target string) ([]string, error) {
	if len(named) > 0 {
		return slices.Compact(slices.Sorted(slices.Values(named))), nil
	}
	if c.DeadLetterFunctions != nil {
		if found, err := c.DeadLetterFunctions(ctx, target); err != nil || len(found) > 0 {
			return found, err
		}
	}
	return nil, errors.New("name the dead letter functions: a job server does not know which functions hold dead letters")
}

// countDead counts the jobs of functions at one job server. One that it does not list has none.
func countDead(ctx context.Context, server string, conn *admin.Conn, functions []string) ([]deadRow, error) {
	all, err := conn.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("count the jobs: %w", err)
	}
	rows := make([]deadRow, len(functions))
	for i, name := range functions {
		rows[i] = deadRow{Server: server, Function: name}
		for _, f := range all {
			if f.Function == name {
				rows[i].Jobs, rows[i].Running, rows[i].Workers = f.Total, f.Running, f.Workers
			}
		}
	}
	return rows, nil
}
