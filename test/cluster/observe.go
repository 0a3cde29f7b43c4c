package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// OperatorMetrics returns the metrics of the operator's pods, one after the other.
func (c *Cluster) OperatorMetrics(ctx context.Context) (string, error) {
	return c.eachOperator(ctx, func(pod string) ([]byte, error) {
		return c.API.CoreV1().Pods(OperatorNamespace).ProxyGet("http", pod, "8080", "/metrics", nil).DoRaw(ctx)
	})
}

// OperatorLogSince returns what the operator's pods have logged since a time.
func (c *Cluster) OperatorLogSince(ctx context.Context, since time.Time) (string, error) {
	return c.eachOperator(ctx, func(pod string) ([]byte, error) {
		return c.API.CoreV1().Pods(OperatorNamespace).GetLogs(
			pod, &corev1.PodLogOptions{SinceTime: new(metav1.NewTime(since))},
		).DoRaw(ctx)
	})
}

func (c *Cluster) eachOperator(ctx context.Context, read func(pod string) ([]byte, error)) (string, error) {
	var pods corev1.PodList
	if err := c.Client.List(
		ctx, &pods, client.InNamespace(OperatorNamespace), client.MatchingLabels(OperatorLabels),
	); err != nil {
		return "", fmt.Errorf("listing the operator's pods: %w", err)
	}
	var all []byte
	for i := range pods.Items {
		if p := &pods.Items[i]; p.DeletionTimestamp == nil && ready(p) {
			b, err := read(p.Name)
			if err != nil {
				return "", fmt.Errorf("operator %s: %w", p.Name, err)
			}
			all = append(all, b...)
		}
	}
	if len(all) == 0 {
		return "", errors.New("no operator has said anything")
	}
	return string(all), nil
}

// As returns the cluster as a user sees it who is in no group except the one of all users.
func (c *Cluster) As(user string) (*Cluster, error) {
	config := rest.CopyConfig(c.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	out := &Cluster{Config: config, Kubeconfig: c.Kubeconfig}
	var err error
	if out.Client, err = client.New(config, client.Options{Scheme: c.Client.Scheme()}); err != nil {
		return nil, fmt.Errorf("client of %s: %w", user, err)
	}
	if out.API, err = kubernetes.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("client of %s: %w", user, err)
	}
	return out, nil
}
