package autoscaler

import (
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"
)

// All status writes together keep to this rate, so that a silent job server, or a new operator,
// does not flood the API server.
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

// Do runs fn on the record of a pool, which is created if there is none. The registry is locked
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

// doExisting runs fn on the record of a pool, if there is one. The registry is locked meanwhile.
func (r *Registry) doExisting(key types.NamespacedName, fn func(*Pool)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.pools[key]; p != nil {
		fn(p)
	}
}

// Seen records that the cache shows a pool at this resource version: the status of an earlier write
// need not be kept any more.
func (r *Registry) Seen(key types.NamespacedName, version string) {
	r.doExisting(key, func(p *Pool) { p.seen(version) })
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

// suspend deletes the state of a pool that cannot be scaled, except for what metrics report, its
// pending status write, and the Deployments that were deleted, which may be why it is suspended. It
// returns the pools that shared a function with it.
func (r *Registry) suspend(key types.NamespacedName) (changed []types.NamespacedName) {
	r.Do(key, func(p *Pool) {
		changed = r.claims.set(key, p, nil, nil)
		*p = Pool{
			offered: p.offered, statusDueAt: p.statusDueAt, conditions: p.conditions, recreation: p.recreation,
		}
	})
	return changed
}

// share records which functions a pool serves. It returns the first of the pools of its namespace
// that serve one of its functions too, whether any in another namespace does, and the pools for
// which that may have changed.
func (r *Registry) share(key types.NamespacedName, servers, functions []string) (
	names []string, elsewhere bool, changed []types.NamespacedName,
) {
	r.Do(key, func(p *Pool) {
		changed = r.claims.set(key, p, servers, functions)
		names, elsewhere = r.claims.sharing(key, p)
	})
	return names, elsewhere, changed
}

// StatusWait returns how long it is until a pool may write its status. If that is 0, the write
// counts as done. Writes are allowed in the order of the first calls; a waiting pool keeps its
// time, however often it calls. It never blocks.
func (r *Registry) StatusWait(key types.NamespacedName, now time.Time) (wait time.Duration) {
	r.Do(key, func(p *Pool) {
		if p.statusDueAt.IsZero() {
			p.statusDueAt = now.Add(r.statusLimiter.ReserveN(now, 1).DelayFrom(now))
		}
		if wait = max(0, p.statusDueAt.Sub(now)); wait == 0 {
			p.statusDueAt = time.Time{}
		}
	})
	return wait
}

// Counts returns how many entries are kept in memory of pools, by kind. All are 0 if there are no
// pools, and wholeSamples equals pools once every job server of every pool has answered.
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
		count("statusWrites", !p.statusDueAt.IsZero())
		count("replicas", p.scale != nil)
		count("drifts", p.drift != nil)
		count("targets", p.targetPods != nil)
	}
	return out
}
