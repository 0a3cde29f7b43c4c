package kubectlgearman

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/cli"
	"github.com/gearman-operator/gearman-operator/internal/diagnosis"
	"github.com/gearman-operator/gearman-operator/internal/page"
	"github.com/gearman-operator/gearman-operator/internal/policy"
	"github.com/gearman-operator/gearman-operator/internal/poolrow"
)

// poolSource is the cluster's pools for the page, kept up to date by watches. Run owns its
// goroutines.
type poolSource struct {
	api   client.Client
	pools *watched
	pods  *watched // nil: the user may not list pods
	reach func([]endpoint) []cli.Endpoint
}

func newPoolSource(api client.WithWatch, namespace string, reach func([]endpoint) []cli.Endpoint) *poolSource {
	return &poolSource{
		api: api, reach: reach,
		pools: newWatched(api, &v1alpha1.GearmanWorkerPool{}, func() client.ObjectList {
			return &v1alpha1.GearmanWorkerPoolList{}
		},
			client.InNamespace(namespace)),
		pods: newWatched(api, &corev1.Pod{}, func() client.ObjectList { return &corev1.PodList{} },
			client.InNamespace(namespace), client.HasLabels{v1alpha1.LabelPool}),
	}
}

// Run keeps the pools and pods up to date until ctx ends.
func (s *poolSource) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { s.pools.controller.RunWithContext(ctx) })
	if s.pods != nil {
		running.Go(func() { s.pods.controller.RunWithContext(ctx) })
	}
}

// watched is all objects of one kind.
type watched struct {
	store      cache.Store
	controller cache.Controller

	mu  sync.Mutex
	err error // of the last request; nil: it succeeded
}

func newWatched(
	api client.WithWatch, kind runtime.Object, list func() client.ObjectList, scope ...client.ListOption,
) *watched {
	w := &watched{}
	options := func(raw metav1.ListOptions) *client.ListOptions {
		o := &client.ListOptions{}
		o.ApplyOptions(scope)
		o.Limit, o.Continue = raw.Limit, raw.Continue
		o.Raw = &raw
		return o
	}
	requests := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, raw metav1.ListOptions) (runtime.Object, error) {
			found := list()
			err := api.List(ctx, found, options(raw))
			w.note(err)
			return found, err
		},
		WatchFuncWithContext: func(ctx context.Context, raw metav1.ListOptions) (watch.Interface, error) {
			events, err := api.Watch(ctx, list(), options(raw))
			w.note(err)
			return events, err
		},
	}
	w.store, w.controller = cache.NewInformerWithOptions(cache.InformerOptions{
		Logger:        new(logr.Discard()), // its errors are shown on the page
		ListerWatcher: cache.ToListWatcherWithWatchListSemantics(requests, listFirst{}),
		ObjectType:    kind, Handler: cache.ResourceEventHandlerFuncs{}, Transform: slim,
	})
	return w
}

// listFirst lists the objects before they are watched: an answer to a list shows that the API
// server works, and every API server supports it.
type listFirst struct{}

// IsWatchListSemanticsUnSupported is called by client-go.
func (listFirst) IsWatchListSemanticsUnSupported() bool { return true }

// slim removes what the page never shows.
func slim(object any) (any, error) {
	if o, ok := object.(client.Object); ok {
		o.SetManagedFields(nil)
	}
	if pod, ok := object.(*corev1.Pod); ok {
		pod.Spec = corev1.PodSpec{}
	}
	return object, nil
}

func (w *watched) note(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

// all returns the objects, or why they are unknown.
func (w *watched) all(what string) ([]any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.err != nil:
		return nil, fmt.Errorf("%s: %w", what, w.err)
	case !w.controller.HasSynced():
		return nil, fmt.Errorf("%s: the API server has not answered yet", what)
	}
	return w.store.List(), nil
}

// Snapshot is part of page.Source.
func (s *poolSource) Snapshot(context.Context) (page.Snapshot, error) {
	out := page.Snapshot{
		At: time.Now(), Note: "The figures of queues are those of the pools' status, up to a minute old.",
	}
	pools, err := s.pools.all("watch pools")
	if err != nil {
		return out, err
	}
	workers := map[client.ObjectKey][]page.Worker{}
	if s.pods == nil {
		out.Note += " Workers are not shown: you may not list pods."
	} else {
		pods, err := s.pods.all("watch pods")
		if err != nil {
			return out, err
		}
		for _, pod := range pods {
			addWorker(workers, pod.(*corev1.Pod))
		}
	}
	servers := map[string]page.Server{}
	for _, object := range pools {
		pool := object.(*v1alpha1.GearmanWorkerPool)
		shown := shownPool(pool, out.At)
		shown.Workers = append(shown.Workers, workers[client.ObjectKeyFromObject(pool)]...)
		slices.SortFunc(shown.Workers, func(a, b page.Worker) int { return strings.Compare(a.Name, b.Name) })
		out.Pools = append(out.Pools, shown)
		for _, server := range pool.Status.Servers {
			if other, known := servers[server.Address]; !known || other.State == "OK" {
				servers[server.Address] = page.Server{Address: server.Address, State: server.State, AnswerUnknown: true}
			}
		}
	}
	for _, server := range servers {
		out.Servers = append(out.Servers, server)
	}
	slices.SortFunc(out.Servers, func(a, b page.Server) int { return strings.Compare(a.Address, b.Address) })
	slices.SortFunc(out.Pools, func(a, b page.Pool) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	return out, nil
}

func addWorker(workers map[client.ObjectKey][]page.Worker, pod *corev1.Pod) {
	key := client.ObjectKey{Namespace: pod.Namespace, Name: pod.Labels[v1alpha1.LabelPool]}
	w := page.Worker{Name: pod.Name, State: "starting", Since: pod.CreationTimestamp.Time}
	ready := slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
	switch {
	case pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed:
		return
	case pod.DeletionTimestamp != nil:
		w.State = "draining"
	case ready:
		w.State = "ready"
	}
	workers[key] = append(workers[key], w)
}

// shownPool is a pool as shown from its status.
func shownPool(pool *v1alpha1.GearmanWorkerPool, now time.Time) page.Pool {
	row, status := poolrow.Of(pool), &pool.Status
	out := page.Pool{
		Namespace: pool.Namespace, Name: pool.Name, Functions: policy.Functions(&pool.Spec),
		Servers: policy.Servers(&pool.Spec),
		Queued:  status.Queue.Queued, Running: status.Queue.Running, WaitSeconds: row.WaitSeconds,
		JobSeconds:    row.JobSeconds,
		TargetSeconds: float64(status.Decision.Terms["targetWaitMilliseconds"]) / 1000, LastHour: true,
		Replicas: status.Replicas, Desired: status.DesiredReplicas, Ready: status.ReadyReplicas,
		Min: pool.Spec.MinReplicas, Max: pool.Spec.MaxReplicas, Mode: string(policy.Mode(&pool.Spec)),
		Reason: row.Reason, Message: status.Decision.Message, Partial: row.Partial, Terms: status.Decision.Terms,
		Workers: []page.Worker{},
	}
	if compiled, err := policy.Compile(&pool.Spec); err == nil {
		at := compiled.At(now)
		out.Min, out.Max, out.TargetSeconds = at.MinReplicas, at.MaxReplicas, at.TargetWait.Seconds()
	}
	if status.Measured != nil {
		out.StartSeconds = float64(status.Measured.BootMilliseconds) / 1000
	}
	if hour := status.LastHour; hour != nil {
		out.Completed, out.Failed, out.Requeued = hour.Completed, hour.Failed, hour.Requeued
	}
	for _, p := range diagnosis.Of(pool) {
		if p.Severity < diagnosis.Warning {
			continue
		}
		text := p.Title
		if p.Why != "" {
			text += " " + p.Why
		}
		if len(p.Try) > 0 {
			text += " Try: " + p.Try[0]
		}
		out.Problems = append(out.Problems, text)
	}
	return out
}

// Find is part of cli.PoolSource.
func (s *poolSource) Find(ctx context.Context, function string) ([]cli.Endpoint, error) {
	pools, err := s.pools.all("watch pools")
	if err != nil {
		return nil, err
	}
	for _, object := range pools {
		pool := object.(*v1alpha1.GearmanWorkerPool)
		if slices.Contains(policy.Functions(&pool.Spec), function) {
			found, err := poolEndpoints(ctx, s.api, pool.Namespace, pool.Name)
			return s.reach(found), err
		}
	}
	return nil, nil
}
