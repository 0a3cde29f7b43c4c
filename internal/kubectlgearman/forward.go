package kubectlgearman

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// forward opens a port-forward from a free port of the loopback address to a pod. done ends it and
// waits for its goroutine.
func (c *plugin) forward(ctx context.Context, to podPort) (addr string, done func(), err error) {
	config, err := c.config.ToRESTConfig()
	if err != nil {
		return "", nil, err
	}
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		return "", nil, err
	}
	url := clientset.CoreV1().RESTClient().Post().Resource("pods").Namespace(to.namespace).Name(to.pod).SubResource(
		"portforward",
	).URL()

	// WebSockets first, as kubectl does, since some proxies don't support SPDY.
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return "", nil, err
	}
	spdyDialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	webSocketDialer, err := portforward.NewSPDYOverWebsocketDialer(url, config)
	if err != nil {
		return "", nil, err
	}
	dialer := portforward.NewFallbackDialer(webSocketDialer, spdyDialer, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})

	stop, ready := make(chan struct{}), make(chan struct{})
	forwarder, err := portforward.NewOnAddresses(
		dialer, []string{"127.0.0.1"}, []string{"0:" + strconv.Itoa(to.port)}, stop, ready, io.Discard, io.Discard,
	)
	if err != nil {
		return "", nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- forwarder.ForwardPorts() }()
	end := func() error {
		close(stop)
		return <-ended
	}

	select {
	case err := <-ended:
		return "", nil, fmt.Errorf("port-forward to pod %s/%s: %w", to.namespace, to.pod, err)
	case <-ctx.Done():
		return "", nil, errors.Join(ctx.Err(), end())
	case <-ready:
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		return "", nil, errors.Join(err, end())
	}
	// The error of a forward that was stopped is of no use.
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(ports[0].Local))), func() { _ = end() }, nil
}
