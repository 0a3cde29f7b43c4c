package kubectlgearman

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/internal/poolrow"
)

const (
	// operatorTimeout bounds one request to the operator.
	operatorTimeout = 10 * time.Second
	// maxPoolList bounds what is read of an answer: 10,000 pools take about 4 MiB.
	maxPoolList = 64 << 20
)

// rows returns the pools of a namespace, of all if it is empty.
type rows func(ctx context.Context) ([]poolrow.Row, error)

// rowSource returns the source of top's rows: the operator if its namespace is given and it
// answers, otherwise the pools' status. done ends the port-forward.
func (c *plugin) rowSource(
	ctx context.Context, api client.Client, operatorNamespace, namespace string,
) (source rows, done func()) {
	source = func(ctx context.Context) ([]poolrow.Row, error) { return listRows(ctx, api, namespace) }
	if operatorNamespace == "" {
		return source, func() {}
	}
	live, done, err := c.operatorRows(ctx, api, operatorNamespace)
	if err != nil {
		fmt.Fprintf(c.ErrOut, "The figures come from the pools' status, and may be a minute old: %v\n", err)
		return source, func() {}
	}
	return func(ctx context.Context) ([]poolrow.Row, error) {
		all, err := live(ctx)
		if err != nil {
			return source(ctx)
		}
		return slices.DeleteFunc(
			all, func(r poolrow.Row) bool { return namespace != "" && r.Namespace != namespace },
		), nil
	}, done
}

// operatorRows finds the operator's leader and returns how to request its rows.
func (c *plugin) operatorRows(
	ctx context.Context, api client.Client, namespace string,
) (live rows, done func(), err error) {
	config, err := c.config.ToRESTConfig()
	if err != nil {
		return nil, nil, err
	}
	var pods corev1.PodList
	if err := api.List(ctx, &pods, client.InNamespace(namespace), operatorLabels); err != nil {
		return nil, nil, fmt.Errorf("list the operator's pods in namespace %s: %w", namespace, err)
	}
	failed := fmt.Errorf("no pod of the operator runs in namespace %s", namespace)
	for i := range pods.Items {
		pod := &pods.Items[i]
		port, secure := metricsPort(pod)
		if port == 0 || !podReady(pod) {
			continue
		}
		addr, end, err := c.forward(ctx, podPort{namespace, pod.Name, port})
		if err != nil {
			failed = err
			continue
		}
		operatorClient, err := newOperatorClient(config, addr, secure)
		if err == nil {
			_, err = operatorClient.rows(ctx)
		}
		if err == nil {
			return operatorClient.rows, end, nil
		}
		end()
		failed = fmt.Errorf("ask pod %s: %w", pod.Name, err)
	}
	return nil, nil, failed
}

// metricsPort is the port at which a pod of the operator serves metrics, and whether over HTTPS; 0
// if there is none.
func metricsPort(pod *corev1.Pod) (port int, secure bool) {
	for i := range pod.Spec.Containers {
		container := &pod.Spec.Containers[i]
		for _, p := range container.Ports {
			if p.Name == "metrics" {
				return int(p.ContainerPort), !slices.Contains(container.Args, "--metrics-secure=false")
			}
		}
	}
	return 0, false
}

// operatorClient requests the pools from one replica of the operator.
type operatorClient struct {
	client *http.Client
	url    string
}

// newOperatorClient returns a client that authenticates with the token of a configuration. A client
// certificate is of no use: the operator accepts tokens only.
func newOperatorClient(config *rest.Config, addr string, secure bool) (*operatorClient, error) {
	if !secure {
		return &operatorClient{client: &http.Client{Timeout: operatorTimeout}, url: "http://" + addr + "/pools"}, nil
	}
	if config.BearerToken == "" && config.BearerTokenFile == "" && config.ExecProvider == nil &&
		config.AuthProvider == nil {
		return nil, errors.New("your kubeconfig has no token, which the operator needs to authenticate you")
	}
	to := rest.AnonymousClientConfig(config)
	to.BearerToken, to.BearerTokenFile = config.BearerToken, config.BearerTokenFile
	to.ExecProvider, to.AuthProvider = config.ExecProvider, config.AuthProvider
	to.Host, to.Proxy, to.Dial, to.Timeout = "https://"+addr, nil, nil, operatorTimeout
	// The connection goes through the API server to that very pod; its certificate is self-signed
	// and names no address.
	to.TLSClientConfig = rest.TLSClientConfig{Insecure: true}
	httpClient, err := rest.HTTPClientFor(to)
	if err != nil {
		return nil, err
	}
	return &operatorClient{client: httpClient, url: to.Host + "/pools"}, nil
}

func (a *operatorClient) rows(ctx context.Context) ([]poolrow.Row, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := a.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusForbidden, http.StatusUnauthorized:
		return nil, errors.New(
			"you may not get the operator's path /pools: have an administrator bind you to its ClusterRole for metrics",
		)
	default:
		return nil, fmt.Errorf("it answers %s", response.Status)
	}
	var list struct {
		Pools []poolrow.Row `json:"pools"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxPoolList)).Decode(&list); err != nil {
		return nil, fmt.Errorf("read its answer: %w", err)
	}
	return list.Pools, nil
}
