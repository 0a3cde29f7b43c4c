package autoscaler

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// RefreshEvery is about how often a pool is reconciled without an event.
const RefreshEvery = 10 * time.Minute

// JobServers is the part of internal/backlog that is needed. It is one interface because it is one
// poller: what is subscribed to is what is sampled.
type JobServers interface {
	Set(key backlog.PoolKey, s backlog.Subscription) error
	SetPods(key backlog.PoolKey, pods []backlog.PodRef)
	Remove(key backlog.PoolKey)
	Sample(key backlog.PoolKey, now time.Time) (backlog.Sample, bool)
	Runnable(ctx context.Context, key backlog.PoolKey, function string) (backlog.Verdict, error)
}

// Options of an Autoscaler.
type Options struct {
	Clock  clock.PassiveClock // nil: the real one
	Random func() float64     // from 0 to 1, the source of all jitter; nil: math/rand's
}

// Autoscaler decides, in memory, how many replicas each pool should have. It enqueues a pool only
// when there is something to write.
type Autoscaler struct {
	Registry
	servers JobServers
	clock   clock.PassiveClock
	random  func() float64
	probes  chan probe
	delay   *prometheus.HistogramVec // from a sample to the change of replicas that it caused

	queues struct {
		mu       sync.Mutex
		decide   priorityqueue.PriorityQueue[types.NamespacedName]
		requests workqueue.TypedRateLimitingInterface[reconcile.Request]
	}
}

// New returns an Autoscaler that takes its samples from the job servers.
func New(servers JobServers, o Options) *Autoscaler {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	return &Autoscaler{
		Registry: newRegistry(), servers: servers, clock: o.Clock, random: o.Random,
		probes: make(chan probe, maxProbes), delay: newScaleDelay(),
	}
}

// Jitter returns d or up to a fifth more, so that pools are not reconciled all at once.
func (a *Autoscaler) Jitter(d time.Duration) time.Duration {
	return d + time.Duration(0.2*a.random()*float64(d))
}

// Source is the controller's source of requests. It is started once, by the controller.
func (a *Autoscaler) Source() source.Source {
	return source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		a.queues.mu.Lock()
		defer a.queues.mu.Unlock()
		a.queues.requests = q
		return nil
	})
}

// Watch subscribes a pool to its job servers and sets which pods are its own.
func (a *Autoscaler) Watch(key types.NamespacedName, sub backlog.Subscription, pods []backlog.PodRef) error {
	if err := a.servers.Set(backlog.PoolKey(key), sub); err != nil {
		return fmt.Errorf("watch the job servers: %w", err)
	}
	a.servers.SetPods(backlog.PoolKey(key), pods)
	return nil
}

// Observe sets a pool's spec and what a reconcile gathered, and decides again. A pool seen for the
// first time starts with what was learnt of it before, and with a hold: it is not scaled down until
// a full window was observed.
func (a *Autoscaler) Observe(
	key types.NamespacedName, spec *Spec, o Observed, learnt scaling.Learnt,
) (v poolstatus.View) {
	now := a.clock.Now()
	refreshAt := now.Add(a.Jitter(RefreshEvery))
	a.Do(key, func(p *Pool) {
		if p.used == nil {
			p.state = scaling.NewState(learnt, now)
		} else {
			p.serverRemoved = p.serverRemoved || serverRemoved(p.used.Poll.Servers, spec.Poll.Servers)
		}
		p.used, p.observed, p.refreshAt = spec, o, refreshAt
	})
	a.decide(key)
	a.Do(key, func(p *Pool) { v = p.view })
	return v
}

// serverRemoved reports whether one of the names is missing in after.
func serverRemoved(before, after []string) bool {
	return slices.ContainsFunc(before, func(name string) bool { return !slices.Contains(after, name) })
}

// Share records which functions a pool serves, and enqueues the pools for which that may have
// changed. It returns the first of the pools of its namespace that serve one of its functions too,
// and whether any in another namespace does.
func (a *Autoscaler) Share(key types.NamespacedName, servers, functions []string) (names []string, elsewhere bool) {
	names, elsewhere, changed := a.share(key, servers, functions)
	a.enqueue(priorityStatus, changed...)
	return names, elsewhere
}

// Scaled records that a pool's replicas were changed.
func (a *Autoscaler) Scaled(key types.NamespacedName) {
	a.Do(key, func(p *Pool) {
		if delay, up, known := p.scaled(a.clock.Now()); known {
			direction := "down"
			if up {
				direction = "up"
			}
			a.delay.WithLabelValues(direction).Observe(delay.Seconds())
		}
	})
}

// Suspend ends the subscription of a pool that cannot be scaled, and drops the state that builds on
// it.
func (a *Autoscaler) Suspend(key types.NamespacedName) {
	a.servers.Remove(backlog.PoolKey(key))
	a.enqueue(priorityStatus, a.suspend(key)...)
}

// Forget deletes all state of a pool.
func (a *Autoscaler) Forget(key types.NamespacedName) {
	a.servers.Remove(backlog.PoolKey(key))
	a.enqueue(priorityStatus, a.remove(key)...)
}

// OnTick is for backlog.Options.OnTick. Pools with news are decided on before thousands that are
// merely due.
func (a *Autoscaler) OnTick(keys []backlog.PoolKey, news bool) {
	names := make([]types.NamespacedName, len(keys))
	for i, k := range keys {
		names[i] = types.NamespacedName(k)
	}
	a.notify(news, names...)
}

// Start decides on pools until ctx ends.
func (a *Autoscaler) Start(ctx context.Context) error {
	var others sync.WaitGroup
	defer others.Wait()
	queue := priorityqueue.New[types.NamespacedName]("autoscaler")
	a.queues.mu.Lock()
	a.queues.decide = queue
	a.queues.mu.Unlock()
	a.notify(false, a.keys()...) // the ticks before there was a queue
	others.Go(func() { a.runProbes(ctx) })
	others.Go(func() {
		<-ctx.Done()
		queue.ShutDown()
	})
	for {
		key, _, shutdown := queue.GetWithPriority()
		if shutdown {
			return nil
		}
		if write, priority := a.decide(key); write {
			a.enqueue(priority, key)
		}
		queue.Done(key)
	}
}

// NeedLeaderElection keeps decisions on the leader.
func (a *Autoscaler) NeedLeaderElection() bool { return true }

// decide decides on one pool and reports whether the pool must be reconciled, and how urgently.
func (a *Autoscaler) decide(key types.NamespacedName) (write bool, priority int) {
	now := a.clock.Now()
	sample, _ := a.servers.Sample(backlog.PoolKey(key), now)
	requestProbe := func(function string) bool { return a.requestProbe(probe{key, function}) }
	a.doExisting(key, func(p *Pool) { write, priority = p.Decide(sample, now, requestProbe) })
	return write, priority
}

// notify queues these pools for a decision, those with news first. It never blocks.
func (a *Autoscaler) notify(news bool, keys ...types.NamespacedName) {
	a.queues.mu.Lock()
	q := a.queues.decide
	a.queues.mu.Unlock()
	if q == nil {
		return // Start queues all pools
	}
	priority := 0
	if news {
		priority = 1
	}
	q.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, keys...)
}

// enqueue queues these pools for a reconcile.
func (a *Autoscaler) enqueue(priority int, keys ...types.NamespacedName) {
	a.queues.mu.Lock()
	q := a.queues.requests
	a.queues.mu.Unlock()
	for _, key := range keys {
		request := reconcile.Request{NamespacedName: key}
		switch q := q.(type) {
		case nil:
		case priorityqueue.PriorityQueue[reconcile.Request]:
			q.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, request)
		default:
			q.Add(request)
		}
	}
}
