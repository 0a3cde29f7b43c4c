package kubectlgearman

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/cli"
	"github.com/gearman-operator/gearman-operator/internal/diagnosis"
	"github.com/gearman-operator/gearman-operator/internal/poolrow"
	"github.com/gearman-operator/gearman-operator/internal/version"
)

// errCritical makes doctor's exit status non-zero.
var errCritical = errors.New("there are critical problems")

func (c *plugin) doctorCommand() *cobra.Command {
	var operatorNamespace string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check the operator, all pools and the job servers that they use",
		Long: `Check the operator, all pools and the job servers that they use, and suggest what to try for each problem.

It reads the operator's pods and the status of the pools of all namespaces. Job servers are shown as the operator last saw
them. With --operator-namespace the operator itself reports how old the answers of the job servers are, which needs the same
rights as "kubectl gearman top". The exit status is 1 if a problem is critical.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, _, err := c.client()
			if err != nil {
				return err
			}
			found, err := examine(cmd.Context(), api, operatorNamespace)
			if err != nil {
				return err
			}
			if operatorNamespace != "" {
				if found.rows, err = c.liveRows(cmd.Context(), api, operatorNamespace); err != nil {
					fmt.Fprintf(c.ErrOut, "The age of the job servers' answers is unknown: %v\n", err)
				}
			}
			return found.write(c.Out)
		},
	}
	cmd.Flags().StringVar(
		&operatorNamespace, "operator-namespace", "", "namespace of the operator, to read from it how old the job servers' answers are; if empty, its pods are searched in all",
	)
	return cmd
}

// examination is the result of doctor.
type examination struct {
	operator []corev1.Pod
	leader   string    // name of the pod that holds the lease; empty if unknown
	renewed  time.Time // when it last renewed it; zero if unknown
	pools    []v1alpha1.GearmanWorkerPool
	rows     []poolrow.Row // the operator's report; nil if it was not requested
	now      time.Time
}

func examine(ctx context.Context, api client.Reader, operatorNamespace string) (examination, error) {
	var pods corev1.PodList
	if err := api.List(ctx, &pods, client.InNamespace(operatorNamespace), operatorLabels); err != nil {
		return examination{}, fmt.Errorf(
			"list the operator's pods (name their namespace with --operator-namespace): %w", err,
		)
	}
	var pools v1alpha1.GearmanWorkerPoolList
	if err := api.List(ctx, &pools); err != nil {
		return examination{}, fmt.Errorf("list the pools of all namespaces: %w", err)
	}
	found := examination{operator: pods.Items, pools: pools.Items, now: time.Now()}
	found.leader, found.renewed = leaderOf(ctx, api, pods.Items)
	return found, nil
}

// leaderOf is the operator's pod that holds the lease, and when it last renewed it; empty if none
// does or the user may not read it.
func leaderOf(ctx context.Context, api client.Reader, pods []corev1.Pod) (pod string, renewed time.Time) {
	for i := range pods {
		var lease coordinationv1.Lease
		if err := api.Get(ctx, client.ObjectKey{Namespace: pods[i].Namespace, Name: leaseName}, &lease); err != nil ||
			lease.Spec.HolderIdentity == nil {
			continue
		}
		// The identity is the pod's name, an underscore and a random part.
		if name, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_"); name == pods[i].Name {
			if at := lease.Spec.RenewTime; at != nil {
				renewed = at.Time
			}
			return name, renewed
		}
	}
	return "", renewed
}

// write prints a report about the operator, the job servers and the pools, in this order: a problem
// of one often causes the next one's.
func (e *examination) write(out io.Writer) error {
	p := &printer{out: out}
	critical := e.writeOperator(p)
	e.writeAges(p)
	e.writeServers(p)
	if e.writePools(p) || critical {
		p.keep(errCritical)
	}
	return p.err
}

func (e *examination) writeOperator(p *printer) (critical bool) {
	ready, images := 0, map[string]bool{}
	p.line("Operator:")
	for i := range e.operator {
		pod := &e.operator[i]
		state := "not ready"
		if podReady(pod) {
			state, ready = "ready", ready+1
		}
		if pod.Name == e.leader {
			state += ", leader"
			if !e.renewed.IsZero() {
				state += " (renewed its lease " + duration.HumanDuration(max(0, e.now.Sub(e.renewed))) + " ago)"
			}
		}
		images[image(pod)] = true
		p.line("  %s/%s: %s, %s", pod.Namespace, pod.Name, state, cli.Printable(image(pod)))
	}
	p.line("  this plugin: %s", version.Version)
	if len(images) > 1 {
		p.line("  WARNING: the operator's pods run different images. An upgrade is under way, or it is stuck.")
		p.line("    Try: kubectl get pods -A -l app.kubernetes.io/name=gearman-operator")
	}
	if ready > 0 {
		return false
	}
	p.line("  CRITICAL: no ready pod of the operator was found. Nothing is scaled.")
	p.line("    Try: kubectl get pods -A -l app.kubernetes.io/name=gearman-operator")
	return true
}

func podReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func image(pod *corev1.Pod) string {
	if len(pod.Spec.Containers) == 0 {
		return ""
	}
	return pod.Spec.Containers[0].Image
}

// writeServers lists the job servers of all pools by the state that the operator reports, those
// that don't answer first.
func (e *examination) writeServers(p *printer) {
	pools := map[v1alpha1.ServerStatus]int{}
	for i := range e.pools {
		for _, s := range e.pools[i].Status.Servers {
			pools[s]++
		}
	}
	if len(pools) == 0 {
		return
	}
	p.line("\nJob servers, as the operator sees them:")
	bad := func(s v1alpha1.ServerStatus) int {
		if s.State == "OK" {
			return 1
		}
		return 0
	}
	servers := slices.SortedFunc(maps.Keys(pools), func(a, b v1alpha1.ServerStatus) int {
		return cmp.Or(
			cmp.Compare(bad(a), bad(b)), strings.Compare(a.Address, b.Address), strings.Compare(a.State, b.State),
		)
	})
	table := cli.NewTable(p.out)
	for _, s := range servers {
		unit := "pools"
		if pools[s] == 1 {
			unit = "pool"
		}
		fmt.Fprintf(table, "  %s\t%s\t%d %s\n", cli.Printable(s.Address), cli.Printable(s.State), pools[s], unit)
	}
	p.keep(table.Flush())
}

// writePools writes the problems of all pools, the most severe first.
func (e *examination) writePools(p *printer) (critical bool) {
	type finding struct {
		pool    string
		problem diagnosis.Problem
	}
	var all []finding
	for i := range e.pools {
		for _, problem := range diagnosis.Of(&e.pools[i]) {
			all = append(all, finding{e.pools[i].Namespace + "/" + e.pools[i].Name, problem})
		}
	}
	slices.SortStableFunc(all, func(a, b finding) int {
		return cmp.Or(cmp.Compare(b.problem.Severity, a.problem.Severity), strings.Compare(a.pool, b.pool))
	})
	p.line("\nPools: %d, problems: %d", len(e.pools), len(all))
	for _, f := range all {
		critical = critical || f.problem.Severity == diagnosis.Critical
		p.line("  %s %s: %s", strings.ToUpper(f.problem.Severity.String()), f.pool, f.problem.Title)
		if f.problem.Why != "" {
			p.line("    Why: %s", cli.Printable(f.problem.Why))
		}
		p.since("    ", f.problem.Since, e.now)
		for _, try := range f.problem.Try {
			p.line("    Try: %s", cli.Printable(try))
		}
	}
	return critical
}
