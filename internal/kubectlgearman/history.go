package kubectlgearman

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/internal/cli"
)

// poolKind is the kind that events about pools name.
const poolKind = "GearmanWorkerPool"

func (c *plugin) historyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "history POOL",
		Short: "Show what happened to a pool: its events, oldest first",
		Long: `Show what happened to a pool: its events, oldest first.

Kubernetes keeps events for an hour by default.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.completePools,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, namespace, err := c.client()
			if err != nil {
				return err
			}
			var events eventsv1.EventList
			if err := api.List(cmd.Context(), &events, client.InNamespace(namespace)); err != nil {
				return fmt.Errorf("list the events of namespace %s: %w", namespace, err)
			}
			return writeHistory(c.Out, args[0], events.Items, time.Now())
		},
	}
}

// writeHistory writes the events about one pool.
func writeHistory(out io.Writer, pool string, events []eventsv1.Event, now time.Time) error {
	events = slices.DeleteFunc(slices.Clone(events), func(e eventsv1.Event) bool {
		return e.Regarding.Kind != poolKind || e.Regarding.Name != pool
	})
	slices.SortStableFunc(events, func(a, b eventsv1.Event) int {
		return cmp.Or(lastSeen(&a).Compare(lastSeen(&b)), cmp.Compare(a.Name, b.Name))
	})
	if len(events) == 0 {
		_, err := fmt.Fprintf(out, "No events about pool %s. Kubernetes keeps events for an hour by default.\n", pool)
		return err
	}
	table := cli.NewTable(out)
	fmt.Fprintln(table, "AGE\tTYPE\tREASON\tMESSAGE")
	for i := range events {
		e := &events[i]
		fmt.Fprintf(
			table, "%s\t%s\t%s\t%s\n", duration.HumanDuration(now.Sub(lastSeen(e))), e.Type, cli.Printable(e.Reason),
			cli.Printable(e.Note),
		)
	}
	return table.Flush()
}

// lastSeen is when an event, or the last of a series of equal ones, happened.
func lastSeen(e *eventsv1.Event) time.Time {
	if e.Series != nil {
		return e.Series.LastObservedTime.Time
	}
	if !e.EventTime.IsZero() {
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}
