package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Tunnel is a port of a pod that is forwarded to this machine through the API server. It ends with
// its pod; then open another one.
type Tunnel struct {
	// Address is the address on this machine.
	Address string

	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// Tunnel opens a tunnel to the first ready pod with the labels.
func (c *Cluster) Tunnel(ctx context.Context, namespace string, labels map[string]string, port int) (*Tunnel, error) {
	pod, err := c.readyPod(ctx, namespace, labels)
	if err != nil {
		return nil, err
	}
	transport, upgrader, err := spdy.RoundTripperFor(c.Config)
	if err != nil {
		return nil, err
	}
	url := c.API.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource(
		"portforward",
	).URL()
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ready := make(chan struct{})
	f, err := portforward.NewOnAddressesWithContext(
		ctx, dialer, []string{"127.0.0.1"}, []string{fmt.Sprintf("0:%d", port)}, ready, io.Discard, io.Discard,
	)
	if err != nil {
		cancel()
		return nil, err
	}
	t := &Tunnel{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(t.done)
		t.err = f.ForwardPorts()
	}()
	select {
	case <-ready:
	case <-t.done:
		cancel()
		return nil, fmt.Errorf("port %d of pod %s: %w", port, pod, errors.Join(t.err, ctx.Err()))
	}
	ports, err := f.GetPorts()
	if err != nil {
		t.Close()
		return nil, err
	}
	t.Address = fmt.Sprintf("127.0.0.1:%d", ports[0].Local)
	return t, nil
}

// Close ends the tunnel and the connections through it.
func (t *Tunnel) Close() {
	t.cancel()
	<-t.done
}

func (c *Cluster) readyPod(ctx context.Context, namespace string, labels map[string]string) (string, error) {
	var pods corev1.PodList
	if err := c.Client.List(ctx, &pods, client.InNamespace(namespace), client.MatchingLabels(labels)); err != nil {
		return "", err
	}
	for i := range pods.Items {
		if p := &pods.Items[i]; p.DeletionTimestamp == nil && ready(p) {
			return p.Name, nil
		}
	}
	return "", fmt.Errorf("no ready pod of %v in namespace %s", labels, namespace)
}

func ready(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
