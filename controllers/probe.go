package controllers

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

const (
	// stuckTicks is for how many ticks free slots must have been left without a backlog's jobs before it is probed.
	stuckTicks = 3
	// probeTimeout bounds one probe; a probe without an answer counts as runnable.
	probeTimeout = 2 * time.Second
	// verdictFor is for how long a verdict counts.
	verdictFor = 5 * time.Second
	// probesAtOnce bounds the connections that probes open at the same time.
	probesAtOnce = 16
)

type probeKey struct {
	pool     types.NamespacedName
	function string
}

type verdict struct {
	notRunnable bool
	at          time.Time
	since       time.Time // of the first of the like verdicts on end
	asked       bool      // a probe is under way
}

// prober asks job servers whether a function's backlog can be handed to a worker, and remembers the answers for a while.
type prober struct {
	sampler Sampler
	clock   clock.PassiveClock
	notify  func(types.NamespacedName)
	asks    chan probeKey

	mu       sync.Mutex
	verdicts map[types.NamespacedName]map[string]verdict // by pool and function
}

func newProber(s Sampler, c clock.PassiveClock, notify func(types.NamespacedName)) *prober {
	return &prober{sampler: s, clock: c, notify: notify, asks: make(chan probeKey, 4096), verdicts: map[types.NamespacedName]map[string]verdict{}}
}

// run answers asks until ctx ends.
func (p *prober) run(ctx context.Context) {
	var workers sync.WaitGroup
	defer workers.Wait()
	for range probesAtOnce {
		workers.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case k := <-p.asks:
					p.probe(ctx, k)
				}
			}
		})
	}
}

func (p *prober) probe(ctx context.Context, k probeKey) {
	pctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	v, err := p.sampler.Runnable(pctx, backlog.PoolKey(k.pool), k.function)
	p.mu.Lock()
	if of, ok := p.verdicts[k.pool]; ok { // else the pool was forgotten meanwhile
		// Without an answer the backlog counts as runnable: a worker too many does no harm, one too few does.
		now := p.clock.Now()
		next := verdict{notRunnable: err == nil && v == backlog.NotRunnable, at: now, since: now}
		if last := of[k.function]; last.notRunnable && next.notRunnable {
			next.since = last.since
		}
		of[k.function] = next
	}
	p.mu.Unlock()
	p.notify(k.pool)
}

// ask has the function probed unless its verdict is fresh or on its way.
func (p *prober) ask(k probeKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := p.verdicts[k.pool]
	if of == nil {
		of = map[string]verdict{}
		p.verdicts[k.pool] = of
	}
	v := of[k.function]
	if v.asked || (!v.at.IsZero() && p.clock.Since(v.at) < verdictFor) {
		return
	}
	select {
	case p.asks <- k:
		v.asked = true
		of[k.function] = v
	default: // so many probes wait that this one can wait for the next tick
	}
}

// drop forgets the verdict on a function that has no backlog to be probed.
func (p *prober) drop(k probeKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if v, ok := p.verdicts[k.pool][k.function]; ok && !v.asked {
		delete(p.verdicts[k.pool], k.function)
	}
}

// notRunnable reports whether the verdict on a function is so. Where workers take jobs the last of them may have gone just before the probe, so that the job server had
// nothing to hand out: there the verdict counts once a later answer, that of seen, still shows the backlog.
func (p *prober) notRunnable(pool types.NamespacedName, function string, workers bool, seen time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := p.verdicts[pool][function]
	return v.notRunnable && (!workers || seen.After(v.since))
}

// pending reports whether a first verdict on one of the pool's functions is on its way.
func (p *prober) pending(pool types.NamespacedName) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range p.verdicts[pool] {
		if v.asked && v.at.IsZero() {
			return true
		}
	}
	return false
}

func (p *prober) forget(pool types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.verdicts, pool)
}

// probe asks for verdicts on backlogs that may not be runnable: any at zero replicas, and those that free slots were not given
// for some ticks; fresh says that the job servers have answered since the last decision. e is locked.
func (a *Autoscaler) probe(key types.NamespacedName, e *entry, p scaling.Policy, in scaling.Sample, fresh bool) {
	if p.Mode == scaling.ModePaused {
		return
	}
	var free int32
	for _, pod := range in.Pods {
		if pod.Ready && !pod.Terminating && pod.Telemetry {
			free += max(0, max(pod.Capacity, 1)-pod.Busy)
		}
	}
	for _, f := range in.Functions {
		k := probeKey{key, f.Name}
		queued := f.Total - f.Running
		switch {
		case queued <= 0:
			delete(e.stuck, f.Name)
			a.probes.drop(k)
		case in.Replicas == 0:
			a.probes.ask(k)
		case free == 0:
			delete(e.stuck, f.Name)
			a.probes.drop(k)
		default:
			if e.stuck == nil {
				e.stuck = map[string]int{}
			}
			if fresh {
				e.stuck[f.Name]++
			}
			if e.stuck[f.Name] >= stuckTicks {
				a.probes.ask(k)
			}
		}
	}
}
