package cli

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
)

// maxListedJobs is the queue length above which jobs are only listed with a flag: the job server
// does nothing else meanwhile.
const maxListedJobs = 100_000

type jobRow struct {
	Server  string `json:"server"`
	Handle  string `json:"handle"`
	Kind    string `json:"kind"`
	State   string `json:"state"`
	Retries uint64 `json:"retries"`
}

// jobKind is whether a client waits for the job.
func jobKind(j *admin.Job) string {
	if j.Persisted {
		return "background"
	}
	return "foreground"
}

func jobState(j *admin.Job) string {
	if j.Ignored {
		return "canceled or its client left"
	}
	return "queued or running"
}

// Jobs is the command that lists jobs.
func (c *Commands) Jobs() *cobra.Command {
	var force bool
	cmd := serverCommand(c, "jobs", "List the jobs of job servers, with the handles that cancel takes",
		[]Column[jobRow]{
			{Title: "SERVER", Text: func(r jobRow) string { return r.Server }},
			{Title: "HANDLE", Text: func(r jobRow) string { return r.Handle }},
			{Title: "KIND", Text: func(r jobRow) string { return r.Kind }},
			{Title: "STATE", Text: func(r jobRow) string { return r.State }},
			{Title: "RETRIES", Text: func(r jobRow) string { return strconv.FormatUint(r.Retries, 10) }},
		},
		func(cmd *cobra.Command, server string, conn *admin.Conn) ([]jobRow, error) {
			functions, err := conn.Status(cmd.Context())
			if err != nil {
				return nil, err
			}
			var total uint64
			for _, f := range functions {
				total += f.Total
			}
			if total > maxListedJobs && !force {
				return nil, fmt.Errorf(
					"%s holds %d jobs and would not answer anyone else while it lists them: use status for their number, or --force",
					server, total,
				)
			}
			jobs, err := conn.Jobs(cmd.Context())
			if err != nil {
				return nil, err
			}
			rows := make([]jobRow, len(jobs))
			for i := range jobs {
				rows[i] = jobRow{server, jobs[i].Handle, jobKind(&jobs[i]), jobState(&jobs[i]), jobs[i].Retries}
			}
			return rows, nil
		})
	cmd.Long = cmd.Short +
		".\n\nOnly gearmand lists jobs. The list shows neither their functions nor which of them are running.\n\n" + c.Targets
	cmd.Flags().BoolVar(&force, "force", false, fmt.Sprintf("also list more than %d jobs", maxListedJobs))
	return cmd
}
