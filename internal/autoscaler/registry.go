package autoscaler

import (
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"
)

// All status writes together keep to this rate, so that a job server that falls silent, or a new
// operator, does not flood the API server.
const (
	statusRate  = 100 // a second
	statusBurst = 200
)

// Registry holds the record of each pool.
type Registry struct {
	mu     sync.Mutex
	pools  map[types.NamespacedName]*Pool
	claims claimIndex

	statusLimiter *rate.Limiter
}

func newRegistry() Registry {
	return Registry{
		pools: map[types.NamespacedName]*Pool{}, claims: claimIndex{},
		statusLimiter: rate.NewLimiter(statusRate, statusBurst),
	}
}

// Do runs fn on the record of a pool, which is created if need be. The registry is locked
// meanwhile.
func (r *Registry) Do(key types.NamespacedName, fn func(*Pool)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pools[key]
	if p == nil {
		p = &Pool{}
		r.pools[key] = p
	}
	fn(p)
}

// known runs fn on the record of a pool, if there is one. The registry is locked meanwhile.
func (r *Registry) known(key types.NamespacedName, fn func(*Pool)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.pools[key]; p != nil {
		fn(p)
	}
}

// Seen notes that the cache shows a pool at this resource version: a status that was written before
// need not be remembered any more.
func (r *Registry) Seen(key types.NamespacedName, version string) {
	r.known(key, func(p *Pool) { p.seen(version) })
}

// keys returns the pools that have a record.
func (r *Registry) keys() []types.NamespacedName {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.pools))
}

// remove deletes a pool's record and returns the pools that shared a function with it.
func (r *Registry) remove(key types.NamespacedName) (changed []types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.pools[key]; p != nil {
		changed = r.claims.set(key, p, nil, nil)
		delete(r.pools, key)
	}
	return changed
}

// suspend deletes what is known of a pool that cannot be scaled, except for what metrics report and
// its turn to write a status. It returns the pools that shared a function with it.
func (r *Registry) suspend(key types.NamespacedName) (changed []types.NamespacedName) {
	r.Do(key, func(p *Pool) {
		changed = r.claims.set(key, p, nil, nil)
		*p = Pool{offered: p.offered, statusTurn: p.statusTurn, conditions: p.conditions}
	})
	return changed
}

// share notes what a pool serves. It names the first of the pools of its namespace that serve one
// of its functions too, says whether any elsewhere does, and returns the pools for which that may
// have changed.
func (r *Registry) share(key types.NamespacedName, servers, functions []string) (
	names []string, elsewhere bool, changed []types.NamespacedName,
) {
	r.Do(key, func(p *Pool) {
		changed = r.claims.set(key, p, servers, functions)
		names, elsewhere = r.claims.sharing(key, p)
	})
	return names, elsewhere, changed
}

// StatusWait returns how long it is until a pool may write its status: 0 if that is now, and
// thereby used up. Pools take turns, and a pool that waits keeps its turn, however often it asks.
// It never blocks.
func (r *Registry) StatusWait(key types.NamespacedName, now time.Time) (wait time.Duration) {
	r.Do(key, func(p *Pool) {
		if p.statusTurn.IsZero() {
			p.statusTurn = now.Add(r.statusLimiter.ReserveN(now, 1).DelayFrom(now))
		}
		if wait = max(0, p.statusTurn.Sub(now)); wait == 0 {
			p.statusTurn = time.Time{}
		}
	})
	return wait
}

// Counts says how much is kept in memory of pools, by what it is. All of it is 0 if there are no
// pools, and wholeSamples is as large as pools once every job server of every pool has answered.
func (r *Registry) Counts() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]int{
		"pools": 0, "wholeSamples": 0, "verdicts": 0, "statusWrites": 0, "replicas": 0, "drifts": 0, "targets": 0,
		"claims": len(r.claims),
	}
	count := func(kind string, is bool) {
		if is {
			out[kind]++
		}
	}
	for _, p := range r.pools {
		count("pools", p.used != nil)
		count("wholeSamples", !p.view.At.IsZero() && !p.view.Sample.Partial)
		count("verdicts", !p.verdicts.Empty())
		count("statusWrites", !p.statusTurn.IsZero())
		count("replicas", p.scale != nil)
		count("drifts", p.drift != nil)
		count("targets", p.targetPods != nil)
	}
	return out
}
