package kubectlgearman

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/access"
	"github.com/gearman-operator/gearman-operator/internal/cli"
)

const targetHelp = `Job servers are named in one of these ways:

  host[:port]        a job server that this machine reaches; each address of the name is a job server of its own
  pod/NAME[:port]    a pod of the cluster, through a port-forward
  svc/NAME[:port]    all ready pods behind a Service of the cluster, through port-forwards
  pool/NAME          the job servers of a pool: names such as gearmand.jobs.svc are reached through port-forwards

The port is 4730 unless it is given.`

// endpoint is one job server and how to reach it.
type endpoint struct {
	name string // for people: host:port or namespace/pod
	addr string // the address to dial, for a direct one
	pod  *podPort
}

// podPort is a port of a pod.
type podPort struct {
	namespace, pod string
	port           int
}

// find returns the job servers that a command's argument names, and how to reach them.
func (c *plugin) find(ctx context.Context, target string) ([]cli.Endpoint, error) {
	found, err := c.endpoints(ctx, target)
	if err != nil {
		return nil, err
	}
	return c.reach(found), nil
}

// reach sets how to reach job servers.
func (c *plugin) reach(found []endpoint) []cli.Endpoint {
	all := make([]cli.Endpoint, len(found))
	for i, e := range found {
		all[i] = cli.Endpoint{Name: e.name, Addr: e.addr}
		if e.pod != nil {
			all[i].Open = func(ctx context.Context) (string, func(), error) { return c.forward(ctx, *e.pod) }
		}
	}
	return all
}

// endpoints finds the job servers that a command's argument names.
func (c *plugin) endpoints(ctx context.Context, target string) ([]endpoint, error) {
	kind, rest, ok := strings.Cut(target, "/")
	if !ok {
		return direct(ctx, target)
	}
	name, port, err := cli.SplitPort(rest)
	if err != nil {
		return nil, err
	}
	api, namespace, err := c.client()
	if err != nil {
		return nil, err
	}
	switch {
	case kind == "pod", kind == "pods", kind == "po":
		return []endpoint{podEndpoint(namespace, name, port)}, nil
	case kind == "svc", kind == "service", kind == "services":
		return serviceEndpoints(ctx, api, namespace, name, port)
	case slices.Contains(poolKinds, kind):
		return poolEndpoints(ctx, api, namespace, name)
	}
	return nil, fmt.Errorf("%q is not a job server: write host:port, pod/NAME, svc/NAME or pool/NAME", target)
}

// poolKinds are the words before the name of a pool.
var poolKinds = []string{"pool", "gwp", "gearmanworkerpool"}

// deadLetterFunctions is the dead letter function of the pool that an argument names; none if it
// names no pool.
func (c *plugin) deadLetterFunctions(ctx context.Context, target string) ([]string, error) {
	kind, name, _ := strings.Cut(target, "/")
	if !slices.Contains(poolKinds, kind) || name == "" {
		return nil, nil
	}
	api, namespace, err := c.client()
	if err != nil {
		return nil, err
	}
	return deadLetterFunctionOf(ctx, api, namespace, name)
}

func deadLetterFunctionOf(ctx context.Context, api client.Client, namespace, name string) ([]string, error) {
	var pool v1alpha1.GearmanWorkerPool
	if err := api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &pool); err != nil {
		return nil, err
	}
	if r := pool.Spec.Runtime; r != nil && r.Retry != nil && r.Retry.DeadLetterFunction != "" {
		return []string{r.Retry.DeadLetterFunction}, nil
	}
	return nil, fmt.Errorf(
		"pool %s has no runtime.retry.deadLetterFunction: name the dead letter functions, or set one in the pool", name,
	)
}

func direct(ctx context.Context, address string) ([]endpoint, error) {
	found, err := cli.Direct(ctx, address)
	if err != nil {
		return nil, err
	}
	all := make([]endpoint, len(found))
	for i, e := range found {
		all[i] = endpoint{name: e.Name, addr: e.Addr}
	}
	return all, nil
}

func podEndpoint(namespace, pod string, port int) endpoint {
	return endpoint{name: namespace + "/" + pod, pod: &podPort{namespace, pod, port}}
}

// serviceEndpoints are the ready pods behind a Service, by its EndpointSlices.
func serviceEndpoints(ctx context.Context, api client.Client, namespace, name string, port int) ([]endpoint, error) {
	var service corev1.Service
	if err := api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &service); err != nil {
		return nil, err
	}
	var sliceList discoveryv1.EndpointSliceList
	if err := api.List(
		ctx, &sliceList, client.InNamespace(namespace), client.MatchingLabels{discoveryv1.LabelServiceName: name},
	); err != nil {
		return nil, err
	}
	// A Service may have another port than its pods; its slices contain the pods' port under the
	// port's name.
	portName, isService := "", false
	for _, p := range service.Spec.Ports {
		if int(p.Port) == port {
			portName, isService = p.Name, true
		}
	}
	var all []endpoint
	for _, slice := range sliceList.Items {
		podsPort := port
		for _, p := range slice.Ports {
			if isService && p.Port != nil && (p.Name == nil && portName == "" || p.Name != nil && *p.Name == portName) {
				podsPort = int(*p.Port)
			}
		}
		for _, e := range slice.Endpoints {
			ready := e.Conditions.Ready == nil || *e.Conditions.Ready
			if ready && e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
				all = append(all, podEndpoint(namespace, e.TargetRef.Name, podsPort))
			}
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("the Service %s in namespace %s has no ready pod", name, namespace)
	}
	slices.SortFunc(all, func(a, b endpoint) int { return strings.Compare(a.name, b.name) })
	return slices.CompactFunc(
		all, func(a, b endpoint) bool { return a.name == b.name && a.pod.port == b.pod.port },
	), nil
}

// poolEndpoints are the job servers of a pool's spec. Those inside the cluster are reached through
// it.
func poolEndpoints(ctx context.Context, api client.Client, namespace, name string) ([]endpoint, error) {
	var pool v1alpha1.GearmanWorkerPool
	if err := api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &pool); err != nil {
		return nil, err
	}
	if pool.Spec.TLS != nil {
		return nil, fmt.Errorf(
			"pool %s uses TLS for its job servers, and the plugin can't use the pool's Secrets: name the job server and give --tls-ca, --tls-cert and --tls-key",
			name,
		)
	}
	var all []endpoint
	for _, server := range pool.Spec.Servers {
		found, err := specEndpoints(ctx, api, pool.Namespace, server)
		if err != nil {
			return nil, fmt.Errorf("job server %s: %w", server, err)
		}
		all = append(all, found...)
	}
	return all, nil
}

// specEndpoints are the job servers that one name in a pool's spec resolves to.
func specEndpoints(
	ctx context.Context, api client.Client, namespace string, server v1alpha1.ServerAddress,
) ([]endpoint, error) {
	host, port, err := cli.SplitPort(string(server))
	if err != nil {
		return nil, err
	}
	found, err := inCluster(ctx, api, namespace, host, port)
	if err == nil && found == nil {
		return outside(ctx, string(server))
	}
	return found, err
}

// outside returns job servers of a pool's spec that are not in the cluster. The author of a pool
// chooses them, so an administrator must not be sent to addresses of their own machine.
func outside(ctx context.Context, server string) ([]endpoint, error) {
	found, err := direct(ctx, server)
	if err != nil {
		return nil, err
	}
	for _, e := range found {
		addr, err := netip.ParseAddrPort(e.addr)
		if err != nil {
			return nil, fmt.Errorf("%q is not an address: %w", e.addr, err)
		}
		if err := new(access.Policy).Check("", addr, ""); err != nil {
			return nil, fmt.Errorf(
				"it resolves to %s, to which a pool must not send the plugin: name the job server itself if you mean it",
				addr,
			)
		}
	}
	return found, nil
}

// inCluster returns what a cluster's DNS would return for a host to a pod of the namespace: NAME,
// NAME.NAMESPACE, NAME.NAMESPACE.svc..., or POD.SERVICE.NAMESPACE.svc... It returns nothing for any
// other host.
func inCluster(ctx context.Context, api client.Client, namespace, host string, port int) ([]endpoint, error) {
	if net.ParseIP(host) != nil {
		return nil, nil
	}
	parts := strings.Split(strings.TrimSuffix(host, "."), ".")
	svc := slices.Index(parts, "svc")
	switch {
	case svc == 3: // the pod of a StatefulSet
		return []endpoint{podEndpoint(parts[2], parts[0], port)}, nil
	case svc == 2:
		return serviceEndpoints(ctx, api, parts[1], parts[0], port)
	case svc >= 0 || len(parts) > 2:
		return nil, nil
	case len(parts) == 2:
		namespace = parts[1]
	}
	found, err := serviceEndpoints(ctx, api, namespace, parts[0], port)
	if apierrors.IsNotFound(err) { // a name outside the cluster
		return nil, nil
	}
	return found, err
}
