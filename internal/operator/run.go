package operator

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/controllers"
	"github.com/gearman-operator/gearman-operator/internal/autoscaler"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/backlog/exporter"
	"github.com/gearman-operator/gearman-operator/internal/resolve"
	"github.com/gearman-operator/gearman-operator/internal/version"
)

// workers is how many pools are reconciled at the same time. They wait for the API server most of
// the time, and a slow one must not delay the others' replicas.
const workers = 32

// Run works until ctx ends. It logs to slog's default logger and the libraries' own.
func Run(ctx context.Context, cfg *rest.Config, o Options) error {
	logger := slog.Default()
	logger.Info("Starting", "version", version.Version)
	limitMemory()
	mgr, err := newManager(cfg, o)
	if err != nil {
		return err
	}
	var pools *autoscaler.Autoscaler
	if apiServer, err := netip.ParseAddr(os.Getenv("KUBERNETES_SERVICE_HOST")); err == nil {
		o.JobServers.Guard(apiServer)
	}
	domain, _ := resolve.Cluster("/etc/resolv.conf")
	watcher := backlog.New(backlog.Options{
		Logger: logger.With("logger", "backlog"), MinPeriod: o.MinPoll, AddressPolicy: o.JobServers.Check,
		Listed:           o.JobServers.Listed,
		ForeignFunctions: o.ForeignFunctions, MaxPoolServers: o.MaxPoolServers,
		MaxNamespaceServers: o.MaxNamespaceServers, MaxNamespaceQueues: o.MaxNamespaceQueues,
		ClusterDomain: domain,
		OnTick:        func(keys []backlog.PoolKey, news bool) { pools.OnTick(keys, news) },
	})
	pools = autoscaler.New(watcher, autoscaler.Options{})
	scale, err := scaleClient(cfg, mgr)
	if err != nil {
		return err
	}
	reconciler := controllers.NewPoolReconciler(mgr.GetClient(), mgr.GetAPIReader(), mgr.GetEventRecorder(
		"gearman-operator",
	), pools,
		controllers.Options{
			Runtime:        o.runtime(),
			RolloutRuntime: o.RolloutRuntimeAtOnce, Workers: workers, Scale: scale,
		})
	if err := reconciler.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("set up the controller: %w", err)
	}
	if err := serve(mgr, pools, watcher); err != nil {
		return err
	}
	run := []manager.Runnable{pools, onLeader{watcher.Run}}
	if os.Getenv("GOGC") == "" { // otherwise the user has chosen
		run = append(run, always{memory})
	}
	for _, r := range run {
		if err := mgr.Add(r); err != nil {
			return fmt.Errorf("add to the manager: %w", err)
		}
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("run the manager: %w", err)
	}
	return nil
}

// serve adds the handlers of the metrics server: the metrics, the numbers of entries (/statusz),
// and the pools (/pools).
func serve(mgr ctrl.Manager, pools *autoscaler.Autoscaler, watcher *backlog.Watcher) error {
	kept := entries{pools.Counts, watcher.Entries}
	if err := mgr.AddMetricsServerExtraHandler("/statusz", kept); err != nil {
		return fmt.Errorf("serve /statusz: %w", err)
	}
	if err := mgr.AddMetricsServerExtraHandler(
		"/pools", poolList{elected: mgr.Elected(), rows: pools.Rows},
	); err != nil {
		return fmt.Errorf("serve /pools: %w", err)
	}
	for _, c := range []prometheus.Collector{pools, exporter.New(watcher, exporter.Options{}), kept} {
		if err := metrics.Registry.Register(c); err != nil {
			return fmt.Errorf("register the metrics: %w", err)
		}
	}
	return nil
}

func newManager(cfg *rest.Config, o Options) (ctrl.Manager, error) {
	cfg = rest.CopyConfig(cfg)
	// The API server's own priority and fairness limits us; a limit here would only delay scale
	// writes.
	cfg.QPS = -1
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("build the scheme: %w", err)
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("build the scheme: %w", err)
	}
	byObject, err := controllers.CacheByObject()
	if err != nil {
		return nil, err
	}
	cacheOptions := cache.Options{ByObject: byObject, DefaultTransform: cache.TransformStripManagedFields()}
	if len(o.Namespaces) > 0 {
		cacheOptions.DefaultNamespaces = map[string]cache.Config{}
		for _, ns := range o.Namespaces {
			if !slices.Contains(o.excluded(), ns) {
				cacheOptions.DefaultNamespaces[ns] = cache.Config{}
			}
		}
		if len(cacheOptions.DefaultNamespaces) == 0 {
			return nil, fmt.Errorf("--watch-namespaces names only namespaces that are excluded")
		}
	} else {
		var not []fields.Selector
		for _, ns := range o.excluded() {
			not = append(not, fields.OneTermNotEqualSelector("metadata.namespace", ns))
		}
		cacheOptions.DefaultFieldSelector = fields.AndSelectors(not...)
	}
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme: scheme, Cache: cacheOptions,
		Client: client.Options{
			Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}},
		},
		Metrics:                metricsOptions(&o),
		HealthProbeBindAddress: o.ProbeAddress, PprofBindAddress: o.ProfileAddress,
		LeaderElection: o.LeaderElect, LeaderElectionID: "gearman-operator", LeaderElectionNamespace: o.LeaderNamespace,
		// The lease is released at the end, and the process ends right after that: another may lead
		// at once.
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return nil, fmt.Errorf("set up the manager: %w", err)
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, fmt.Errorf("add the health check: %w", err)
	}
	if err := mgr.AddReadyzCheck("ping", healthz.Ping); err != nil {
		return nil, fmt.Errorf("add the ready check: %w", err)
	}
	return mgr, nil
}

// scaleClient returns a client with its own connection, so that a change of replicas waits for no
// other write.
func scaleClient(cfg *rest.Config, mgr ctrl.Manager) (client.Client, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1 // like the manager's
	// With its own dialer client-go doesn't share its connections.
	cfg.Dial = (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	c, err := client.New(cfg, client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("set up the client for replicas: %w", err)
	}
	return c, nil
}

// excluded are the namespaces without pools: a pool there would run pods with the cluster's, or the
// operator's, own rights.
func (o *Options) excluded() []string {
	out := append([]string{"kube-system"}, o.ExcludeNamespaces...)
	if own := os.Getenv("POD_NAMESPACE"); own != "" {
		out = append(out, own)
	}
	return out
}

// onLeader is a runnable that runs on the leader only.
type onLeader struct{ run func(context.Context) error }

func (r onLeader) Start(ctx context.Context) error { return r.run(ctx) }

func (onLeader) NeedLeaderElection() bool { return true }

// always is a runnable that runs on all replicas: those that wait for the lease have the caches
// too.
type always struct{ run func(context.Context) error }

func (r always) Start(ctx context.Context) error { return r.run(ctx) }

func (always) NeedLeaderElection() bool { return false }
