package kubectlgearman

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gearman-operator/gearman-operator/internal/cli"
	"github.com/gearman-operator/gearman-operator/internal/poolrow"
)

type topOptions struct {
	sort, format        string
	operatorNamespace   string
	allNamespaces, once bool
	interval            time.Duration
}

// orders are the values of --sort. Figures sort the greatest first, problems the most severe.
var orders = map[string]func(a, b poolrow.Row) int{
	"name": func(_, _ poolrow.Row) int { return 0 },
	"problem": func(a, b poolrow.Row) int {
		return cmp.Or(cmp.Compare(b.Rank, a.Rank), cmp.Compare(b.Queued, a.Queued))
	},
	"queued":   func(a, b poolrow.Row) int { return cmp.Compare(b.Queued, a.Queued) },
	"running":  func(a, b poolrow.Row) int { return cmp.Compare(b.Running, a.Running) },
	"wait":     func(a, b poolrow.Row) int { return cmp.Compare(b.WaitSeconds, a.WaitSeconds) },
	"replicas": func(a, b poolrow.Row) int { return cmp.Compare(b.Replicas, a.Replicas) },
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', 0, 64) }

func seconds(v float64) string {
	return time.Duration(v * float64(time.Second)).Round(100 * time.Millisecond).String()
}

var topColumns = []cli.Column[poolrow.Row]{
	{Title: "NAMESPACE", Text: func(r poolrow.Row) string { return r.Namespace }},
	{Title: "POOL", Text: func(r poolrow.Row) string { return r.Pool }},
	{Title: "QUEUED", Text: func(r poolrow.Row) string { return number(r.Queued) }},
	{Title: "RUNNING", Text: func(r poolrow.Row) string { return number(r.Running) }},
	{Title: "WAIT", Text: func(r poolrow.Row) string { return seconds(r.WaitSeconds) }},
	{Title: "REPLICAS", Text: func(r poolrow.Row) string { return number(r.Replicas) }},
	{Title: "DESIRED", Text: func(r poolrow.Row) string { return number(r.Desired) }},
	{Title: "READY", Text: func(r poolrow.Row) string { return number(r.Ready) }},
	{Title: "MIN", Wide: true, Text: func(r poolrow.Row) string { return number(r.Min) }},
	{Title: "MAX", Text: func(r poolrow.Row) string { return number(r.Max) }},
	{Title: "JOB", Wide: true, Text: func(r poolrow.Row) string { return seconds(r.JobSeconds) }},
	{Title: "REASON", Text: func(r poolrow.Row) string {
		if r.Partial {
			return r.Reason + " (a job server does not answer)"
		}
		return r.Reason
	}},
	{Title: "PROBLEM", Text: func(r poolrow.Row) string {
		if r.Problem == "" {
			return ""
		}
		return strings.ToUpper(r.Severity) + ": " + r.Problem
	}},
}

func (c *plugin) topCommand() *cobra.Command {
	var o topOptions
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show pools live: problems first, then their queues, replicas and why",
		Long: `Show pools live: problems first, then their queues, replicas and why.

The figures come from the pools' status, so anyone who may list pools can use it. The operator writes changes of replicas and reasons
at once; the figures of the queue may be up to a minute old.

With --operator-namespace the figures of the last poll come from the operator itself. You need the rights to get its path /pools
(the ClusterRole NAME-metrics-reader) and to forward a port to its pod. The pod is sent your token, so name only the namespace in
which the operator was installed. If that fails, the figures come from the status.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.top(cmd.Context(), &o) },
	}
	flags := cmd.Flags()
	flags.BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "pools of all namespaces")
	flags.StringVar(&o.sort, "sort", "problem", "sort by "+strings.Join(slices.Sorted(maps.Keys(orders)), ", "))
	flags.BoolVar(&o.once, "once", false, "print once and end")
	flags.DurationVar(&o.interval, "interval", 2*time.Second, "time between two updates")
	flags.StringVar(
		&o.operatorNamespace, "operator-namespace", "",
		"namespace of the operator, to take the figures of the last poll from it",
	)
	cli.AddOutputFlag(cmd, &o.format)
	// The flag exists: it was defined above.
	_ = cmd.RegisterFlagCompletionFunc(
		"sort", cobra.FixedCompletions(slices.Sorted(maps.Keys(orders)), cobra.ShellCompDirectiveNoFileComp),
	)
	return cmd
}

func (o *topOptions) check() error {
	if err := cli.CheckFormat(o.format); err != nil {
		return err
	}
	if orders[o.sort] == nil {
		return fmt.Errorf(
			"--sort must be one of %s, not %q", strings.Join(slices.Sorted(maps.Keys(orders)), ", "), o.sort,
		)
	}
	if o.interval < 100*time.Millisecond {
		return fmt.Errorf("--interval must be at least 100ms, not %s", o.interval)
	}
	return nil
}

func (c *plugin) top(ctx context.Context, o *topOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	api, namespace, err := c.client()
	if err != nil {
		return err
	}
	if o.allNamespaces {
		namespace = ""
	}
	source, done := c.rowSource(ctx, api, o.operatorNamespace, namespace)
	defer done()
	ticker := time.NewTicker(o.interval)
	defer ticker.Stop()
	for {
		rows, err := source(ctx)
		if err != nil {
			return err
		}
		var frame bytes.Buffer
		live := !o.once && o.format != "json" && o.format != "yaml"
		if err := cli.WriteRows(&frame, o.format, topColumns, arrange(rows, o.sort)); err != nil {
			return err
		}
		if live {
			if _, err := io.WriteString(c.terminal, "\x1b[H\x1b[2J"); err != nil { // cursor to the corner, screen empty
				return err
			}
		}
		if _, err := c.Out.Write(frame.Bytes()); err != nil {
			return err
		}
		if !live {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// arrange sorts pools, equal ones by name.
func arrange(rows []poolrow.Row, order string) []poolrow.Row {
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b poolrow.Row) int {
		return cmp.Or(orders[order](a, b), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Pool, b.Pool))
	})
	return rows
}
