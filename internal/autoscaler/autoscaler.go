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

// RefreshEvery is how often a pool is reconciled without a cause, give or take.
const RefreshEvery = 10 * time.Minute

// JobServers is what is needed of internal/backlog. It is one interface, as it is one poller: what
// is subscribed to is what is sampled.
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
	delay   *prometheus.HistogramVec // from a sample to the change of replicas that it asked for

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
		probes: make(chan probe, probesWaiting), delay: newScaleDelay(),
	}
}

// Jitter returns d or up to a fifth more, so that not all pools come at once.
func (a *Autoscaler) Jitter(d time.Duration) time.Duration {
	return d + time.Duration(0.2*a.random()*float64(d))
}

// Source is where a controller gets its requests from. It is started once, by the controller.
func (a *Autoscaler) Source() source.Source {
	return source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		a.queues.mu.Lock()
		defer a.queues.mu.Unlock()
		a.queues.requests = q
		return nil
	})
}

// Watch subscribes a pool to its job servers and says which pods are its own.
func (a *Autoscaler) Watch(key types.NamespacedName, sub backlog.Subscription, pods []backlog.PodRef) error {
	if err := a.servers.Set(backlog.PoolKey(key), sub); err != nil {
		return fmt.Errorf("watch the job servers: %w", err)
	}
	a.servers.SetPods(backlog.PoolKey(key), pods)
	return nil
}

// Observe has a pool go by a spec, brings what a reconcile gathered, and decides anew. A pool seen
// for the first time starts with what was learnt of it before, and with a hold: nothing is scaled
// down until a full window was seen.
func (a *Autoscaler) Observe(
	key types.NamespacedName, spec *Spec, o Observed, learnt scaling.Learnt,
) (v poolstatus.View) {
	now := a.clock.Now()
	refreshAt := now.Add(a.Jitter(RefreshEvery))
	a.Do(key, func(p *Pool) {
		if p.used == nil {
			p.state = scaling.NewState(learnt, now)
		} else {
			p.lostOne = p.lostOne || lostOne(p.used.Poll.Servers, spec.Poll.Servers)
		}
		p.used, p.observed, p.refreshAt = spec, o, refreshAt
	})
	a.decide(key)
	a.Do(key, func(p *Pool) { v = p.view })
	return v
}

// lostOne reports whether one of the names is no longer there.
func lostOne(before, after []string) bool {
	return slices.ContainsFunc(before, func(name string) bool { return !slices.Contains(after, name) })
}

// Share notes what a pool serves, and has those reconciled for which that may have changed. It
// names the first of the pools of its namespace that serve one of its functions too, and says
// whether any elsewhere does.
func (a *Autoscaler) Share(key types.NamespacedName, servers, functions []string) (names []string, elsewhere bool) {
	names, elsewhere, changed := a.share(key, servers, functions)
	a.enqueue(priorityStatus, changed...)
	return names, elsewhere
}

// Scaled notes that a pool's replicas were changed.
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

// Suspend ends the watch over the job servers of a pool that cannot be scaled, and forgets what
// builds on it.
func (a *Autoscaler) Suspend(key types.NamespacedName) {
	a.servers.Remove(backlog.PoolKey(key))
	a.enqueue(priorityStatus, a.suspend(key)...)
}

// Forget frees all that is known of a pool.
func (a *Autoscaler) Forget(key types.NamespacedName) {
	a.servers.Remove(backlog.PoolKey(key))
	a.enqueue(priorityStatus, a.remove(key)...)
}

// OnTick is for backlog.Options.OnTick. Pools with news are decided on before thousands that only
// have their time.
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
	a.notify(false, a.keys()...) // what came before there was a queue
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

// decide takes a decision on one pool and reports whether the pool is to be reconciled, and how
// urgently.
func (a *Autoscaler) decide(key types.NamespacedName) (write bool, priority int) {
	now := a.clock.Now()
	sample, _ := a.servers.Sample(backlog.PoolKey(key), now)
	ask := func(function string) bool { return a.ask(probe{key, function}) }
	a.known(key, func(p *Pool) { write, priority = p.Decide(sample, now, ask) })
	return write, priority
}

// notify has these pools decided on, in the order of their news. It never blocks.
func (a *Autoscaler) notify(news bool, keys ...types.NamespacedName) {
	a.queues.mu.Lock()
	q := a.queues.decide
	a.queues.mu.Unlock()
	if q == nil {
		return // Start begins with all pools
	}
	priority := 0
	if news {
		priority = 1
	}
	q.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, keys...)
}

// enqueue has these pools reconciled.
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
