package controllers

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/policy"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// Sampler is what the Autoscaler needs of internal/backlog.
type Sampler interface {
	Sample(key backlog.PoolKey, now time.Time) (backlog.Sample, bool)
	Runnable(ctx context.Context, key backlog.PoolKey, function string) (backlog.Verdict, error)
}

// Autoscaler decides, in memory, how many replicas each pool should have: once at each tick of the poller for a pool, and when
// a reconcile brings news of the pool. It enqueues a pool only when there is something to write.
type Autoscaler struct {
	clock   clock.PassiveClock
	sampler Sampler
	probes  *prober
	delay   *prometheus.HistogramVec // from a sample to the change of replicas that it asked for

	mu    sync.Mutex
	pools map[types.NamespacedName]*entry
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
	due   line
	wake  chan struct{}
}

// entry is what the Autoscaler knows of one pool.
type entry struct {
	mu      sync.Mutex
	facts   poolFacts
	state   scaling.State
	stuck   map[string]int // ticks for which free slots were not given a function's backlog
	view    view
	written written

	off      time.Time // when the sample came since which replicas are not what the decision asks for; zero while they are
	offUp    bool      // they are too few
	scaledAt time.Time // when replicas were last changed

	refreshAt time.Time // when the pool is reconciled without a cause
}

// poolFacts is what a reconcile gathered of a pool.
type poolFacts struct {
	compiled  policy.Compiled
	functions []string
	workload  workload
	pods      []pod
	target    targetRule
}

// NewAutoscaler returns an Autoscaler that takes its samples from s.
func NewAutoscaler(s Sampler, c clock.PassiveClock) *Autoscaler {
	a := &Autoscaler{
		clock: c, sampler: s, pools: map[types.NamespacedName]*entry{},
		wake: make(chan struct{}, 1), delay: newScaleDelay(),
	}
	a.probes = newProber(s, c, func(key types.NamespacedName) { a.notify(true, key) })
	return a
}

// Source is where a controller gets its requests from. It is started once, by the controller.
func (a *Autoscaler) Source() source.Source {
	return source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.queue = q
		return nil
	})
}

// OnTick is for backlog.Options.OnTick. Pools with news are decided on before thousands that only have their time.
func (a *Autoscaler) OnTick(keys []backlog.PoolKey, news bool) {
	names := make([]types.NamespacedName, len(keys))
	for i, k := range keys {
		names[i] = types.NamespacedName(k)
	}
	a.notify(news, names...)
}

// notify has these pools decided on. It never blocks.
func (a *Autoscaler) notify(first bool, keys ...types.NamespacedName) {
	a.mu.Lock()
	for _, k := range keys {
		if _, ok := a.pools[k]; ok {
			a.due.put(k, first)
		}
	}
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Start decides on notified pools until ctx ends.
func (a *Autoscaler) Start(ctx context.Context) error {
	var probes sync.WaitGroup
	probes.Go(func() { a.probes.run(ctx) })
	defer probes.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.wake:
		}
		for key, e := a.takeDue(); e != nil; key, e = a.takeDue() {
			if write, priority := a.decide(key, e); write {
				a.enqueue(key, priority)
			}
		}
	}
}

// NeedLeaderElection keeps decisions on the leader.
func (a *Autoscaler) NeedLeaderElection() bool { return true }

// takeDue returns the pool to decide on next; nil: none.
func (a *Autoscaler) takeDue() (types.NamespacedName, *entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key, ok := a.due.take()
	if !ok {
		return key, nil
	}
	return key, a.pools[key] // forget takes a pool out of both
}

func (a *Autoscaler) entry(key types.NamespacedName) *entry {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pools[key]
}

// Priorities of reconciles, beside the library's own: handler.LowPriority for what was there when the operator started.
const (
	priorityStatus = 0
	priorityScale  = 100 // never behind a queue of pools that have only a status to write
)

func (a *Autoscaler) enqueue(key types.NamespacedName, priority int) {
	a.mu.Lock()
	q := a.queue
	a.mu.Unlock()
	request := reconcile.Request{NamespacedName: key}
	switch q := q.(type) {
	case nil:
	case priorityqueue.PriorityQueue[reconcile.Request]:
		q.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, request)
	default:
		q.Add(request)
	}
}

// set brings what a reconcile gathered and decides anew. A pool seen for the first time starts with what was learnt of it before, and with a hold: nothing shrinks until a full
// window was seen.
func (a *Autoscaler) set(key types.NamespacedName, f poolFacts, learnt scaling.Learnt) view {
	now := a.clock.Now()
	a.mu.Lock()
	e, ok := a.pools[key]
	if !ok {
		e = &entry{state: scaling.NewState(learnt, now)}
		a.pools[key] = e
	}
	a.mu.Unlock()
	e.mu.Lock()
	e.facts, e.refreshAt = f, now.Add(wait.Jitter(refreshEvery, 0.2))
	e.mu.Unlock()
	a.decide(key, e)
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.view
}

// noted says what of the view v needs no further reconcile, since the API server has it or will be told of it: has is what it has now, at when it was last
// written, zero if it wasn't.
func (a *Autoscaler) noted(key types.NamespacedName, v view, has figures, at time.Time) {
	if e := a.entry(key); e != nil {
		e.mu.Lock()
		e.written.mark, e.written.figures = markOf(v), has
		if !at.IsZero() {
			e.written.at = at
		}
		e.mu.Unlock()
	}
}

// times are when a pool's status was last written and when its replicas were last changed, as far as this operator did it.
func (a *Autoscaler) times(key types.NamespacedName) (written, scaled time.Time) {
	e := a.entry(key)
	if e == nil {
		return time.Time{}, time.Time{}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.written.at, e.scaledAt
}

// scaled notes that replicas were changed.
func (a *Autoscaler) scaled(key types.NamespacedName) {
	e := a.entry(key)
	if e == nil {
		return
	}
	now := a.clock.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.scaledAt = now
	if !e.off.IsZero() {
		direction := "down"
		if e.offUp {
			direction = "up"
		}
		a.delay.WithLabelValues(direction).Observe(now.Sub(e.off).Seconds())
		e.off = time.Time{}
	}
}

// forget frees what is known of a pool.
func (a *Autoscaler) forget(key types.NamespacedName) {
	a.mu.Lock()
	delete(a.pools, key)
	a.due.remove(key)
	a.mu.Unlock()
	a.probes.forget(key)
}

// decide takes a decision for one pool and reports whether the pool is to be reconciled, and how urgently.
func (a *Autoscaler) decide(key types.NamespacedName, e *entry) (write bool, priority int) {
	now := a.clock.Now()
	sample, _ := a.sampler.Sample(backlog.PoolKey(key), now)
	polled := answered(sample)

	e.mu.Lock()
	defer e.mu.Unlock()
	if !polled {
		sample.Partial = true // nothing is known yet: the bounds are all there is to go by
	}
	p := e.facts.compiled.At(now)
	in := scalingSample(e.facts, sample, p.Tick, e.view.at, now)
	seen := newestAnswer(&sample)
	a.probe(key, e, p, in, seen.After(newestAnswer(&e.view.sample)))
	for i := range in.Functions {
		in.Functions[i].NotRunnable = a.probes.notRunnable(key, in.Functions[i].Name, in.Replicas > 0, seen)
	}
	if polled && in.Replicas == 0 && a.probes.pending(key) {
		// At zero the verdict on the backlog comes first, in a few milliseconds; it notifies.
		if e.off.IsZero() {
			e.off, e.offUp = newestAnswer(&sample), true
		}
		return false, 0
	}
	d, state := scaling.Decide(p, e.state, in, now)
	e.state = state
	e.view = view{at: now, decision: d, minReplicas: p.MinReplicas, maxReplicas: p.MaxReplicas, learnt: state.Learnt()}
	for _, f := range sample.Functions {
		e.view.queued += f.Queued
		e.view.running += max(0, f.Running)
	}
	sample.Functions = nil
	e.view.sample = sample
	e.noteOff()
	return e.worthWriting(now)
}

// noteOff notes since which sample the replicas are not what is asked for.
func (e *entry) noteOff() {
	v := &e.view
	present := e.facts.workload.replicas
	if !v.decision.Apply || v.decision.Replicas == present {
		e.off = time.Time{}
		return
	}
	if up := v.decision.Replicas > present; e.off.IsZero() || e.offUp != up {
		e.off, e.offUp = newestAnswer(&v.sample), up
	}
}

// worthWriting reports whether the last reconcile's writes are behind the view.
func (e *entry) worthWriting(now time.Time) (write bool, priority int) {
	v, w := &e.view, &e.written
	switch {
	case v.decision.Apply && v.decision.Replicas != e.facts.workload.replicas:
		return true, priorityScale
	case markOf(*v) != w.mark:
		return true, priorityStatus
	}
	due := now.Sub(w.at) >= figuresEvery && w.figures.moved(figuresOf(*v))
	return due || !now.Before(e.refreshAt), priorityStatus
}

func (a *Autoscaler) keys() []types.NamespacedName {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Keys(a.pools))
}

// size counts the pools, those whose last decision was taken on a sample without gaps, and the pools with verdicts on their backlogs.
func (a *Autoscaler) size() (pools, whole, verdicts int) {
	for _, key := range a.keys() {
		e := a.entry(key)
		if e == nil {
			continue
		}
		pools++
		e.mu.Lock()
		if !e.view.at.IsZero() && !e.view.sample.Partial {
			whole++
		}
		e.mu.Unlock()
	}
	a.probes.mu.Lock()
	defer a.probes.mu.Unlock()
	return pools, whole, len(a.probes.verdicts)
}
