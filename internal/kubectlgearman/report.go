package kubectlgearman

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/cli"
	"github.com/gearman-operator/gearman-operator/internal/version"
)

// reportLogLines is how many lines of each of the operator's pods a report has.
const reportLogLines = 200

func (c *plugin) reportCommand() *cobra.Command {
	var file, operatorNamespace string
	var allNamespaces bool
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Write a report that helps somebody else find a problem, without secrets",
		Long: `Write a report that helps somebody else find a problem: the operator's pods and the end of their logs, and the
pools of the namespace with their status, pods and events.

Values of environment variables, arguments of commands, annotations, and users and queries of URLs are left out, and Secrets and the
logs of workers are never read. Names of pools, functions, job servers and images stay: read the report before you pass it on.
Objects that you may not read are left out, and the report lists them.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, namespace, err := c.client()
			if err != nil {
				return err
			}
			config, err := c.config.ToRESTConfig()
			if err != nil {
				return err
			}
			clientset, err := kubernetes.NewForConfig(config)
			if err != nil {
				return err
			}
			if allNamespaces {
				namespace = ""
			}
			r := reporter{api: api, namespace: namespace, operatorNamespace: operatorNamespace, now: time.Now()}
			r.log = func(ctx context.Context, pod *corev1.Pod) (io.ReadCloser, error) {
				return clientset.CoreV1().Pods(pod.Namespace).GetLogs(
					pod.Name, &corev1.PodLogOptions{TailLines: new(int64(reportLogLines))},
				).Stream(ctx)
			}
			return c.writeReport(cmd.Context(), &r, file)
		},
	}
	cmd.Flags().StringVarP(&file, "output-file", "o", "", "file to write; if empty, the report is printed")
	cmd.Flags().BoolVarP(&allNamespaces, "all-namespaces", "A", false, "pools of all namespaces")
	cmd.Flags().StringVar(
		&operatorNamespace, "operator-namespace", "", "namespace of the operator; if empty, all are searched",
	)
	return cmd
}

// writeReport writes a report to a file, or prints it.
func (c *plugin) writeReport(ctx context.Context, r *reporter, file string) error {
	if file == "" {
		return r.write(ctx, c.Out)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("--output-file: %w", err)
	}
	if err := errors.Join(r.write(ctx, cli.Sanitized(f)), f.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.Out, "wrote %s\n", file)
	return err
}

// reporter gathers a report.
type reporter struct {
	api                          client.Reader
	namespace, operatorNamespace string
	now                          time.Time
	log                          func(context.Context, *corev1.Pod) (io.ReadCloser, error)
}

// write writes the report as YAML documents with comments. It lists what can't be read.
func (r *reporter) write(ctx context.Context, out io.Writer) error {
	p := &printer{out: out}
	p.line("# Report of kubectl gearman %s, %s", version.Version, r.now.UTC().Format(time.RFC3339))
	p.line("# Secrets are left out: %s stands for values of environment variables and arguments of commands.", redacted)
	r.operator(ctx, p)
	r.pools(ctx, p)
	r.events(ctx, p)
	return p.err
}

func (p *printer) section(title string) { p.line("---\n# %s", title) }

// missing records what could not be read.
func (p *printer) missing(what string, err error) {
	p.line("# %s: not readable: %s", what, cli.Printable(err.Error()))
}

func (r *reporter) operator(ctx context.Context, p *printer) {
	p.section("The operator's pods")
	var pods corev1.PodList
	if err := r.api.List(ctx, &pods, client.InNamespace(r.operatorNamespace), operatorLabels); err != nil {
		p.missing("the operator's pods", err)
		return
	}
	for i := range pods.Items {
		p.pod(&pods.Items[i])
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		p.section("The last lines of the log of " + pod.Namespace + "/" + pod.Name)
		stream, err := r.log(ctx, pod)
		if err != nil {
			p.missing("the log", err)
			continue
		}
		lines := &lineWriter{out: p.out}
		if err := lines.copy("#", stream); err != nil {
			p.missing("the log", err)
		}
		stream.Close()
	}
}

// pod writes a line about a pod.
func (p *printer) pod(pod *corev1.Pod) {
	restarts, why := int32(0), ""
	for i := range pod.Status.ContainerStatuses {
		s := &pod.Status.ContainerStatuses[i]
		restarts += s.RestartCount
		if s.State.Waiting != nil {
			why = s.State.Waiting.Reason
		}
	}
	if pod.DeletionTimestamp != nil {
		why = "Terminating"
	}
	p.line("- {pod: %s/%s, image: %q, phase: %s, ready: %v, restarts: %d, reason: %q}", pod.Namespace, pod.Name, image(pod), pod.Status.Phase, podReady(pod),
		restarts, cmp.Or(why, pod.Status.Reason))
}

func (r *reporter) pools(ctx context.Context, p *printer) {
	var pools v1alpha1.GearmanWorkerPoolList
	if err := r.api.List(ctx, &pools, client.InNamespace(r.namespace)); err != nil {
		p.section("Pools")
		p.missing("the pools", err)
		return
	}
	for i := range pools.Items {
		pool := &pools.Items[i]
		p.section("Pool " + pool.Namespace + "/" + pool.Name)
		text, err := redactedYAML(pool)
		if err != nil {
			p.missing("the pool", err)
			continue
		}
		_, err = p.out.Write(text)
		p.keep(err)
		p.section("Pods of pool " + pool.Namespace + "/" + pool.Name)
		pods, err := podsOf(ctx, r.api, client.ObjectKeyFromObject(pool))
		if err != nil {
			p.missing("its pods", err)
		}
		for i := range pods {
			p.pod(&pods[i])
		}
	}
}

// redactedYAML is an object without what may contain a secret.
func redactedYAML(object any) ([]byte, error) {
	data, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	if err := json.Unmarshal(data, &tree); err != nil {
		return nil, err
	}
	return yaml.Marshal(redact(tree))
}

func (r *reporter) events(ctx context.Context, p *printer) {
	p.section("Events about pools")
	var events eventsv1.EventList
	if err := r.api.List(ctx, &events, client.InNamespace(r.namespace)); err != nil {
		p.missing("the events", err)
		return
	}
	for i := range events.Items {
		if e := &events.Items[i]; e.Regarding.Kind == poolKind {
			p.line(
				"- {at: %s, pool: %s/%s, type: %s, reason: %s, note: %q}", lastSeen(e).UTC().Format(time.RFC3339),
				e.Namespace, e.Regarding.Name, e.Type, e.Reason, e.Note,
			)
		}
	}
}
