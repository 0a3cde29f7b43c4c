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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/cli"
	"github.com/gearman-operator/gearman-operator/internal/diagnosis"
	"github.com/gearman-operator/gearman-operator/internal/policy"
	"github.com/gearman-operator/gearman-operator/internal/poolrow"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

func (c *plugin) explainCommand() *cobra.Command {
	var format, operatorNamespace string
	var numbers bool
	cmd := &cobra.Command{
		Use:   "explain POOL",
		Short: "Explain what is wrong with a pool and why it has its number of replicas",
		Long: `Explain what is wrong with a pool and why it has its number of replicas.

It reads the pool's status, which the operator writes on change and the queue's figures at most once a minute. With
--operator-namespace it shows the queue as of the last poll, from the operator itself, and the line "Figures" shows which job servers
have not answered and for how long. This needs the same rights as "kubectl gearman top".`,
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
			o := explainOptions{format: format, numbers: numbers || format == "wide", now: time.Now()}
			if operatorNamespace != "" {
				var err error
				if o.live, err = c.liveRow(cmd.Context(), api, operatorNamespace, &pool); err != nil {
					fmt.Fprintf(c.ErrOut, "The figures come from the pool's status: %v\n", err)
				}
			}
			return writeExplanation(c.Out, o, &pool)
		},
	}
	cmd.Flags().StringVar(
		&operatorNamespace, "operator-namespace", "",
		"namespace of the operator, to take the figures of the last poll from it",
	)
	cmd.Flags().BoolVar(
		&numbers, "numbers", false,
		"also show the numbers behind the decision, the job servers and all conditions (like -o wide)",
	)
	cli.AddOutputFlag(cmd, &format)
	return cmd
}

// explainOptions are how an explanation is printed.
type explainOptions struct {
	format  string
	numbers bool
	now     time.Time    // time at which schedules are evaluated
	live    *poolrow.Row // the operator's report; nil: only the status
}

// explanation is the output of -o json and -o yaml.
type explanation struct {
	Problems []diagnosis.Problem              `json:"problems"`
	Status   v1alpha1.GearmanWorkerPoolStatus `json:"status"`
}

func writeExplanation(out io.Writer, o explainOptions, pool *v1alpha1.GearmanWorkerPool) error {
	all := explanation{Problems: diagnosis.Of(pool), Status: pool.Status}
	if all.Problems == nil {
		all.Problems = []diagnosis.Problem{}
	}
	var data []byte
	var err error
	switch o.format {
	case "json":
		data, err = json.MarshalIndent(all, "", "  ")
		data = append(data, '\n')
	case "yaml":
		data, err = yaml.Marshal(all)
	default:
		return explain(out, o, pool, all.Problems)
	}
	if err != nil {
		return err
	}
	_, err = out.Write(data)
	return err
}

// explain writes the problems of a pool, its state and its last decision for people.
func explain(out io.Writer, o explainOptions, pool *v1alpha1.GearmanWorkerPool, problems []diagnosis.Problem) error {
	p := &printer{out: out}
	p.line("Pool %s/%s serves %s on %s.", pool.Namespace, pool.Name,
		cli.Printable(strings.Join(policy.Functions(&pool.Spec), ", ")), cli.Printable(servers(pool.Spec.Servers)))
	if pool.Status.ObservedGeneration < pool.Generation {
		p.line(
			"The operator has not processed the latest change of the pool yet. What follows describes the state before it.",
		)
	}
	p.problems(problems, o.now)
	p.state(o, pool)
	if o.numbers {
		p.numbers(pool.Status.Decision.Terms)
		p.servers(pool.Status.Servers)
		p.conditions(pool.Status.Conditions)
	}
	return p.err
}

// problems prints what is wrong, why, since when, and what to try.
func (p *printer) problems(problems []diagnosis.Problem, now time.Time) {
	if len(problems) == 0 {
		p.line("\nNo problem is reported.")
		return
	}
	for _, problem := range problems {
		p.line("\n%s: %s", strings.ToUpper(problem.Severity.String()), problem.Title)
		if problem.Why != "" {
			p.line("  Why: %s", cli.Printable(problem.Why))
		}
		p.since("  ", problem.Since, now)
		for i, try := range problem.Try {
			label := "  Try: "
			if i > 0 {
				label = "       "
			}
			p.line("%s%s", label, cli.Printable(try))
		}
	}
}

// since prints when a problem began, if that is known.
func (p *printer) since(indent string, began metav1.Time, now time.Time) {
	if !began.IsZero() {
		ago := duration.HumanDuration(max(0, now.Sub(began.Time)))
		p.line("%sSince: %s (%s ago)", indent, began.UTC().Format(time.RFC3339), ago)
	}
}

// state writes the pool's replicas, bounds, mode, queue and last decision.
func (p *printer) state(o explainOptions, pool *v1alpha1.GearmanWorkerPool) {
	status := &pool.Status
	p.line("")
	if status.Decision.Reason == "" {
		p.line("The operator has not decided on this pool yet.")
		return
	}
	table := cli.NewTable(p.out)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(table, "%s:\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("Replicas", "%d (%d ready), %d desired", status.Replicas, status.ReadyReplicas, status.DesiredReplicas)
	row("Bounds", "%s", bounds(pool, o.now))
	row("Mode", "%s", policy.Mode(&pool.Spec))
	queue := status.Queue
	if live := o.live; live != nil {
		queue.Queued, queue.Running = int64(live.Queued), int64(live.Running)
		queue.OldestWaitSeconds = int64(live.WaitSeconds)
	}
	row("Queue", "%d queued, %d running, the oldest has waited for %s (target %s)", queue.Queued, queue.Running,
		time.Duration(queue.OldestWaitSeconds)*time.Second, targetWait(&pool.Spec))
	if age := figuresAge(o, pool); age != "" {
		row("Figures", "%s", age)
	}
	if h := status.LastHour; h != nil {
		row("Last hour", "%s", lastHour(h))
	}
	row("Decision", "%s: %s", cli.Printable(status.Decision.Reason), cli.Printable(status.Decision.Message))
	if status.LastScaleTime != nil {
		row(
			"Last scaled", "%s (%s ago)", status.LastScaleTime.UTC().Format(time.RFC3339),
			duration.HumanDuration(o.now.Sub(status.LastScaleTime.Time)),
		)
	}
	p.keep(table.Flush())
}

// lastHour describes how the jobs of the last hour ended.
func lastHour(h *v1alpha1.OutcomeStatus) string {
	text := fmt.Sprintf("%d completed, %d failed", h.Completed, h.Failed)
	if h.DeadLettered > 0 {
		text += fmt.Sprintf(" (%d of them went to the dead letter function)", h.DeadLettered)
	}
	text += fmt.Sprintf(", %d requeued", h.Requeued)
	if h.Retried > 0 {
		text += fmt.Sprintf(", %d failed and retried", h.Retried)
	}
	if h.Started > 0 {
		percent := func(n int64) float64 { return 100 * float64(n) / float64(h.Started) }
		text += fmt.Sprintf("; %d started, %.1f%% late (%.1f%% to %.1f%%)",
			h.Started, percent(h.Late), percent(h.LateAtLeast), percent(h.LateAtMost))
	}
	return text
}

// bounds describes the bounds in force, with the schedules that set them.
func bounds(pool *v1alpha1.GearmanWorkerPool, now time.Time) string {
	compiled, err := policy.Compile(&pool.Spec)
	if err != nil {
		return fmt.Sprintf("%d to %d (spec; schedules can't be read)", pool.Spec.MinReplicas, pool.Spec.MaxReplicas)
	}
	at := compiled.At(now)
	text := fmt.Sprintf("%d to %d", at.MinReplicas, at.MaxReplicas)
	if names := compiled.ActiveSchedules(now); len(names) > 0 {
		text += fmt.Sprintf(
			" (schedule %s; the spec says %d to %d)", strings.Join(names, ", "), pool.Spec.MinReplicas,
			pool.Spec.MaxReplicas,
		)
	}
	return text
}

// targetWait describes the pool's scaling target.
func targetWait(spec *v1alpha1.GearmanWorkerPoolSpec) string {
	compiled, err := policy.Compile(spec)
	if err != nil {
		return "unknown"
	}
	at := compiled.At(time.Time{})
	switch {
	case at.TargetWait == 0:
		return fmt.Sprintf("%d queued jobs for each replica", at.JobsPerReplica)
	case at.JobsPerReplica > 0:
		return fmt.Sprintf("%s, and at most %d queued jobs for each replica", at.TargetWait, at.JobsPerReplica)
	}
	return at.TargetWait.String()
}

// numbers writes the terms of the last decision.
func (p *printer) numbers(values map[string]int64) {
	if len(values) == 0 {
		return
	}
	p.line("\nNumbers behind the decision:")
	table := cli.NewTable(p.out)
	known := map[string]bool{}
	for i := range scaling.TermTable {
		t := &scaling.TermTable[i]
		known[t.Key] = true
		if n, ok := values[t.Key]; ok {
			fmt.Fprintf(table, "  %s\t%s\n", t.Format(n), t.Meaning)
		}
	}
	// An operator newer than the plugin may report more.
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if !known[key] {
			fmt.Fprintf(table, "  %d\t%s\n", values[key], cli.Printable(key))
		}
	}
	p.keep(table.Flush())
}

// servers writes the state of each job server.
func (p *printer) servers(all []v1alpha1.ServerStatus) {
	if len(all) == 0 {
		return
	}
	p.line("\nJob servers:")
	table := cli.NewTable(p.out)
	for _, s := range all {
		fmt.Fprintf(table, "  %s\t%s\n", cli.Printable(s.Address), cli.Printable(s.State))
	}
	p.keep(table.Flush())
}

// conditions writes every condition.
func (p *printer) conditions(all []metav1.Condition) {
	if len(all) == 0 {
		return
	}
	p.line("\nConditions:")
	table := cli.NewTable(p.out)
	for _, condition := range all {
		fmt.Fprintf(
			table, "  %s\t%s\t%s\t%s\n", condition.Type, condition.Status, condition.Reason,
			cli.Printable(condition.Message),
		)
	}
	p.keep(table.Flush())
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
