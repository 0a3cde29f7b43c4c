package cluster

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// OperatorLog returns the end of the logs of the operator's pods, for a failure's message.
func (c *Cluster) OperatorLog(ctx context.Context, lines int64) string {
	return c.logs(ctx, OperatorNamespace, OperatorLabels, lines)
}

// Describe returns everything that helps to see why a stage is in the wrong state: the pool, the
// pods, the events, the ends of logs.
func (s *Stage) Describe(ctx context.Context) string {
	var b strings.Builder
	if p, err := s.Pool(ctx); err != nil {
		fmt.Fprintf(&b, "pool: %v\n", err)
	} else {
		p.ManagedFields = nil
		y, _ := yaml.Marshal(p) // a pool that was read can be written
		fmt.Fprintf(&b, "pool:\n%s\n", y)
	}
	if w, err := s.Workers(ctx); err != nil {
		fmt.Fprintf(&b, "workers: %v\n", err)
	} else {
		fmt.Fprintf(&b, "workers: %d wanted, %d ready, %d terminating\n", w.Replicas, w.Ready, w.Terminating)
		for i := range w.Pods {
			p := &w.Pods[i]
			fmt.Fprintf(
				&b, "  %s %s ready=%t deleted=%t\n", p.Name, p.Status.Phase, ready(p), p.DeletionTimestamp != nil,
			)
			for _, cs := range append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...) {
				if cs.State.Waiting != nil || cs.LastTerminationState.Terminated != nil {
					fmt.Fprintf(
						&b, "    %s: waiting %v, ended before %v\n", cs.Name, cs.State.Waiting,
						cs.LastTerminationState.Terminated,
					)
				}
			}
		}
	}
	if q, err := s.Queue(ctx); err != nil {
		fmt.Fprintf(&b, "queue: %v\n", err)
	} else {
		fmt.Fprintf(&b, "queue: %+v\n", q)
	}
	var events corev1.EventList
	if err := s.Client.List(ctx, &events, client.InNamespace(s.Namespace)); err == nil {
		for i := max(0, len(events.Items)-40); i < len(events.Items); i++ {
			e := &events.Items[i]
			fmt.Fprintf(
				&b, "event: %s %s/%s %s: %s\n", e.Type, e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason,
				e.Message,
			)
		}
	}
	b.WriteString(s.logs(ctx, s.Namespace, map[string]string{"app.kubernetes.io/managed-by": "gearman-operator"}, 10))
	b.WriteString(s.OperatorLog(ctx, 40))
	return b.String()
}

func (c *Cluster) logs(ctx context.Context, namespace string, labels map[string]string, lines int64) string {
	var pods corev1.PodList
	if err := c.Client.List(ctx, &pods, client.InNamespace(namespace), client.MatchingLabels(labels)); err != nil {
		return err.Error()
	}
	var b strings.Builder
	for i := range pods.Items[:min(6, len(pods.Items))] {
		name := pods.Items[i].Name
		log, err := c.API.CoreV1().Pods(namespace).GetLogs(name, &corev1.PodLogOptions{TailLines: &lines}).DoRaw(ctx)
		fmt.Fprintf(&b, "log of %s: %v\n%s\n", name, err, log)
	}
	return b.String()
}
