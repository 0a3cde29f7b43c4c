package kubectlgearman

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/cli"
)

func (c *plugin) explainCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:               "explain POOL",
		Short:             "Tell why a pool has the replicas that it has",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.completePools,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cli.CheckFormat(format); err != nil {
				return err
			}
			api, namespace, err := c.client()
			if err != nil {
				return err
			}
			var pool v1alpha1.GearmanWorkerPool
			if err := api.Get(cmd.Context(), client.ObjectKey{Namespace: namespace, Name: args[0]}, &pool); err != nil {
				return err
			}
			return writeExplanation(c.Out, format, &pool)
		},
	}
	cli.AddOutputFlag(cmd, &format)
	return cmd
}

func writeExplanation(out io.Writer, format string, pool *v1alpha1.GearmanWorkerPool) error {
	var data []byte
	var err error
	switch format {
	case "json":
		data, err = json.MarshalIndent(pool.Status, "", "  ")
		data = append(data, '\n')
	case "yaml":
		data, err = yaml.Marshal(pool.Status)
	default:
		return explain(out, pool)
	}
	if err != nil {
		return err
	}
	_, err = out.Write(data)
	return err
}

// term tells one number of a decision in words.
type term struct {
	key, words string
	show       func(int64) string
}

// terms are in the order in which the law uses them. The units are in the keys, see DecisionStatus.
var terms = []term{
	{"queued", "jobs wait and can be handed out", count},
	{"stuck", "jobs in the queue are handed to no free worker", count},
	{"running", "jobs run in this pool's pods", count},
	{"foreign", "jobs run elsewhere (other workers of the same functions)", count},
	{"slots", "jobs the ready pods can work on at once", count},
	{"freeSlots", "of these slots are free", count},
	{"startingSlots", "slots are in pods that start", count},
	{"missingMilliSlots", "slots are missing for the queue to start in time", thousandths},
	{"loadMilliSlots", "slots are kept busy by the work that arrives", thousandths},
	{"keepMilliSlots", "slots are kept for that load", thousandths},
	{"idleMilliSlots", "slots were idle all through the idle window", thousandths},
	{"jobMilliseconds", "a job takes (learnt from jobs that ended well; a guess until one has)", milliseconds},
	{"bootMilliseconds", "a pod takes from its creation to its registration (a guess until one was seen)", milliseconds},
	{"oldestWaitMilliseconds", "the oldest job has waited (estimated)", milliseconds},
	{"targetWaitMilliseconds", "a job should start within this time", milliseconds},
}

func count(n int64) string        { return fmt.Sprint(n) }
func thousandths(n int64) string  { return fmt.Sprintf("%.2f", float64(n)/1000) }
func milliseconds(n int64) string { return (time.Duration(n) * time.Millisecond).String() }

// explain writes a pool's state, its last decision and the numbers behind it for people.
func explain(out io.Writer, pool *v1alpha1.GearmanWorkerPool) error {
	status, spec := &pool.Status, &pool.Spec
	p := &printer{out: out}
	p.line("Pool %s/%s serves %s on %s.", pool.Namespace, pool.Name, cli.Printable(status.Functions), cli.Printable(servers(spec.Servers)))
	if status.ObservedGeneration < pool.Generation {
		p.line("The operator has not seen the latest change of the pool yet: what follows is older.")
	}
	p.line("")
	if status.Decision.Reason == "" {
		p.line("Nothing was decided yet.")
	} else {
		replicas := "replicas"
		if status.Replicas == 1 {
			replicas = "replica"
		}
		p.line("%d %s (%d ready), %d wanted, between %d and %d.", status.Replicas, replicas, status.ReadyReplicas, status.DesiredReplicas,
			spec.MinReplicas, spec.MaxReplicas)
		p.line("%s: %s.", status.Decision.Reason, cli.Printable(strings.TrimSuffix(status.Decision.Message, ".")))
	}

	if len(status.Decision.Terms) > 0 {
		p.line("\nThe numbers behind it:")
		table := cli.NewTable(out)
		known := map[string]bool{}
		for _, t := range terms {
			known[t.key] = true
			if n, ok := status.Decision.Terms[t.key]; ok {
				fmt.Fprintf(table, "  %s\t%s\n", t.show(n), t.words)
			}
		}
		// An operator that is newer than the plugin may tell more.
		for _, key := range slices.Sorted(maps.Keys(status.Decision.Terms)) {
			if !known[key] {
				fmt.Fprintf(table, "  %d\t%s\n", status.Decision.Terms[key], cli.Printable(key))
			}
		}
		p.keep(table.Flush())
	}

	if len(status.Servers) > 0 {
		p.line("\nJob servers:")
		table := cli.NewTable(out)
		for _, s := range status.Servers {
			fmt.Fprintf(table, "  %s\t%s\t%s\n", cli.Printable(s.Address), s.State, cli.Printable(s.Message))
		}
		p.keep(table.Flush())
	}

	if len(status.Conditions) > 0 {
		p.line("\nConditions:")
		table := cli.NewTable(out)
		for _, condition := range status.Conditions {
			fmt.Fprintf(table, "  %s\t%s\t%s\t%s\n", condition.Type, condition.Status, condition.Reason, cli.Printable(condition.Message))
		}
		p.keep(table.Flush())
	}
	if status.LastScaleTime != nil {
		p.line("\nLast scaled at %s.", status.LastScaleTime.Format(time.RFC3339))
	}
	return p.err
}

// printer keeps the first error of many writes.
type printer struct {
	out io.Writer
	err error
}

func (p *printer) keep(err error) {
	if p.err == nil {
		p.err = err
	}
}

func (p *printer) line(format string, args ...any) {
	_, err := fmt.Fprintf(p.out, format+"\n", args...)
	p.keep(err)
}

func servers(addresses []v1alpha1.ServerAddress) string {
	names := make([]string, len(addresses))
	for i, a := range addresses {
		names[i] = string(a)
	}
	return strings.Join(names, ", ")
}
