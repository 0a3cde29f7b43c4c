package kubectlgearman

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// maxLogStreams bounds how many pods' logs are read at the same time.
const maxLogStreams = 20

func (c *plugin) logsCommand() *cobra.Command {
	var tail int64
	var follow, previous bool
	cmd := &cobra.Command{
		Use:   "logs POOL",
		Short: "Show the logs of a pool's workers, each line with its pod",
		Long: fmt.Sprintf(`Show the logs of a pool's workers, each line with its pod.

With more than %d pods, the logs of the newest ones are shown.`, maxLogStreams),
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.completePools,
		RunE: func(cmd *cobra.Command, args []string) error {
			if tail < 0 {
				return fmt.Errorf("--tail must not be negative, but is %d", tail)
			}
			api, namespace, err := c.client()
			if err != nil {
				return err
			}
			pods, err := podsOf(cmd.Context(), api, client.ObjectKey{Namespace: namespace, Name: args[0]})
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
			open := func(ctx context.Context, pod *corev1.Pod) (io.ReadCloser, error) {
				return clientset.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
					Container: workerOf(pod), TailLines: &tail, Follow: follow, Previous: previous,
				}).Stream(ctx)
			}
			return writeLogs(cmd.Context(), c.Out, args[0], pods, open)
		},
	}
	cmd.Flags().Int64Var(&tail, "tail", 20, "lines of each pod")
	cmd.Flags().BoolVarP(&follow, "follow", "F", false, "keep printing new lines")
	cmd.Flags().BoolVarP(&previous, "previous", "p", false, "show the logs of the previous containers, such as after a crash")
	return cmd
}

// podsOf lists the pods of a pool, the newest first: its own, or those of its target.
func podsOf(ctx context.Context, api client.Reader, key client.ObjectKey) ([]corev1.Pod, error) {
	var pool v1alpha1.GearmanWorkerPool
	if err := api.Get(ctx, key, &pool); err != nil {
		return nil, err
	}
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.LabelPool: pool.Name}}
	if pool.Spec.TargetRef != nil {
		parsed, err := metav1.ParseToLabelSelector(pool.Status.Selector)
		if err != nil || pool.Status.Selector == "" {
			return nil, fmt.Errorf("the status of pool %s does not show which pods its target has", pool.Name)
		}
		selector = parsed
	}
	matches, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return nil, err
	}
	var pods corev1.PodList
	if err := api.List(
		ctx, &pods, client.InNamespace(key.Namespace), client.MatchingLabelsSelector{Selector: matches},
	); err != nil {
		return nil, fmt.Errorf("list the pods of pool %s: %w", pool.Name, err)
	}
	slices.SortFunc(pods.Items, func(a, b corev1.Pod) int {
		if c := b.CreationTimestamp.Compare(a.CreationTimestamp.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return pods.Items, nil
}

// workerOf is the container of a pod that runs jobs: "worker", or the first of a target's pod.
func workerOf(pod *corev1.Pod) string {
	first := ""
	for i := range pod.Spec.Containers {
		name := pod.Spec.Containers[i].Name
		if name == "worker" {
			return name
		}
		if i == 0 {
			first = name
		}
	}
	return first
}

// writeLogs copies the pods' logs line by line, those of several pods at the same time.
func writeLogs(
	ctx context.Context, out io.Writer, pool string, pods []corev1.Pod,
	open func(context.Context, *corev1.Pod) (io.ReadCloser, error),
) error {
	if len(pods) == 0 {
		return fmt.Errorf("pool %s has no pods: kubectl gearman explain %s says why", pool, pool)
	}
	pods = pods[:min(len(pods), maxLogStreams)]
	lines := &lineWriter{out: out}
	errs := make([]error, len(pods))
	var wg sync.WaitGroup
	for i := range pods {
		wg.Go(func() {
			pod := &pods[i]
			stream, err := open(ctx, pod)
			if err != nil {
				errs[i] = fmt.Errorf("pod %s: %w", pod.Name, err)
				return
			}
			defer stream.Close()
			errs[i] = lines.copy(pod.Name, stream)
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); ctx.Err() == nil {
		return err
	}
	return nil // stopped
}

// lineWriter writes whole lines of several streams.
type lineWriter struct {
	mu  sync.Mutex
	out io.Writer
}

// maxLogLine is the longest line that is shown in one piece.
const maxLogLine = 16 << 10

func (w *lineWriter) copy(name string, from io.Reader) error {
	reader := bufio.NewReaderSize(from, maxLogLine)
	for {
		line, _, err := reader.ReadLine() // a longer line is read in pieces
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the log of pod %s: %w", name, err)
		}
		w.mu.Lock()
		_, err = fmt.Fprintf(w.out, "%s: %s\n", name, line)
		w.mu.Unlock()
		if err != nil {
			return err
		}
	}
}
