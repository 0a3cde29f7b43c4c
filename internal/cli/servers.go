package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
)

// serverCommand is a command that requests something from job servers and prints rows.
func serverCommand[T any](
	c *Commands, use, short string, columns []Column[T],
	request func(cmd *cobra.Command, server string, conn *admin.Conn) ([]T, error),
) *cobra.Command {
	var format string
	var connect connectOptions
	cmd := &cobra.Command{
		Use:   use + c.serverUse(),
		Short: short,
		Long:  short + ".\n\n" + c.Targets,
		Args:  c.serverArgs(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := CheckFormat(format); err != nil {
				return err
			}
			var rows []T
			err := c.eachServer(cmd.Context(), args, &connect, func(server string, conn *admin.Conn) error {
				found, err := request(cmd, server, conn)
				rows = append(rows, found...)
				return err
			})
			if err != nil && len(rows) == 0 {
				return err
			}
			// Answers are shown even if another server gave none.
			return errors.Join(WriteRows(c.Out, format, columns, rows), err)
		},
	}
	AddOutputFlag(cmd, &format)
	connect.addFlags(cmd)
	return cmd
}

type statusRow struct {
	Server   string `json:"server"`
	Function string `json:"function"`
	Queued   uint64 `json:"queued"`
	Running  int64  `json:"running"`
	Total    uint64 `json:"total"`
	Workers  uint64 `json:"workers"`
}

// Status is the command that shows functions and their queues.
func (c *Commands) Status() *cobra.Command {
	var all bool
	cmd := serverCommand(c, "status", "Show the functions of job servers: queued and running jobs, and workers",
		[]Column[statusRow]{
			{Title: "SERVER", Text: func(r statusRow) string { return r.Server }},
			{Title: "FUNCTION", Text: func(r statusRow) string { return r.Function }},
			{Title: "QUEUED", Text: func(r statusRow) string { return strconv.FormatUint(r.Queued, 10) }},
			{Title: "RUNNING", Text: func(r statusRow) string { return strconv.FormatInt(r.Running, 10) }},
			{Title: "WORKERS", Text: func(r statusRow) string { return strconv.FormatUint(r.Workers, 10) }},
			{Title: "TOTAL", Wide: true, Text: func(r statusRow) string { return strconv.FormatUint(r.Total, 10) }},
		},
		func(cmd *cobra.Command, server string, conn *admin.Conn) ([]statusRow, error) {
			functions, err := conn.Status(cmd.Context())
			if err != nil {
				return nil, err
			}
			var rows []statusRow
			for _, f := range functions {
				// A job server lists every function that it ever knew.
				if all || f.Total > 0 || f.Workers > 0 {
					rows = append(rows, statusRow{server, f.Function, f.Queued(), f.Running, f.Total, f.Workers})
				}
			}
			slices.SortFunc(rows, func(a, b statusRow) int { return strings.Compare(a.Function, b.Function) })
			return rows, nil
		})
	cmd.Flags().BoolVar(&all, "all", false, "show functions without jobs and workers too")
	return cmd
}

type workerRow struct {
	Server    string   `json:"server"`
	FD        int64    `json:"fd"`
	IP        string   `json:"ip"`
	ID        string   `json:"id"`
	Functions []string `json:"functions"`
}

// Workers is the command that shows connections.
func (c *Commands) Workers() *cobra.Command {
	return serverCommand(c, "workers", "Show who is connected to job servers, and for which functions",
		[]Column[workerRow]{
			{Title: "SERVER", Text: func(r workerRow) string { return r.Server }},
			{Title: "FD", Wide: true, Text: func(r workerRow) string { return strconv.FormatInt(r.FD, 10) }},
			{Title: "IP", Text: func(r workerRow) string { return r.IP }},
			{Title: "ID", Text: func(r workerRow) string { return r.ID }},
			{Title: "FUNCTIONS", Text: func(r workerRow) string { return strings.Join(r.Functions, ",") }},
		},
		func(cmd *cobra.Command, server string, conn *admin.Conn) ([]workerRow, error) {
			connections, err := conn.Workers(cmd.Context())
			if err != nil {
				return nil, err
			}
			rows := make([]workerRow, len(connections))
			for i, w := range connections {
				rows[i] = workerRow{server, w.FD, w.IP, w.ID, w.Functions}
			}
			return rows, nil
		})
}

type versionRow struct {
	Server  string `json:"server"`
	Version string `json:"version"`
	Dialect string `json:"dialect"`
}

// Version is the command that shows the job servers' versions.
func (c *Commands) Version() *cobra.Command {
	return serverCommand(c, "version", "Show the versions of job servers",
		[]Column[versionRow]{
			{Title: "SERVER", Text: func(r versionRow) string { return r.Server }},
			{Title: "VERSION", Text: func(r versionRow) string { return r.Version }},
			{Title: "KIND", Text: func(r versionRow) string { return r.Dialect }},
		},
		func(cmd *cobra.Command, server string, conn *admin.Conn) ([]versionRow, error) {
			v, err := conn.Version(cmd.Context())
			if err != nil {
				return nil, err
			}
			return []versionRow{{server, v.Text, fmt.Sprint(v.Dialect)}}, nil
		})
}
