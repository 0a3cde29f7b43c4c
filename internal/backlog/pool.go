package backlog

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/internal/telemetry"
)

// pool is one subscription. Guarded by Watcher.mu.
type pool struct {
	w         *Watcher
	key       PoolKey
	tenant    *tenant
	sub       Subscription
	since     time.Time // when it was first set
	functions []string
	version   int                  // number of changes of the functions
	hashes    []uint32             // of the functions, as telemetry names them
	sums      []telemetry.Counters // by function, over all pods that ever existed
	targets   []*target            // by server of the subscription; a server listed twice is here twice
	links     []*link
	pods      []*podState

	excess   Excess
	settled  bool // all names had been looked up when links were last updated
	nextTick time.Time
	known    bool // a first sample without gaps has been delivered
	queued   bool // waits in Watcher.due
	hasNews  bool // waits in Watcher.first
	later    bool // will wait there once its namespace may have another decision
}

// link is a pool's use of one job server.
type link struct {
	pool   *pool
	target *target
	srv    *server // nil if the address policy denied the address
	addr   netip.AddrPort
	cells  []*cell // by function of the pool
	queues int     // that count for its namespace

	unlisted bool // its state is not shown in full
	pos      int  // in srv.links
	since    time.Time
	gone     time.Time // since when no name resolves to it any more; zero while one does
}

// cell holds one job server's figures of one function. Guarded by Watcher.mu.
type cell struct {
	name                    string
	wanted                  uint64        // the last round in which the doorbell should listen for it
	changed                 uint64        // the answer that changed it last
	asOf                    time.Duration // when the last figures arrived, since server.since
	refs                    uint32
	total, running, workers uint32
	bell                    bool // our doorbell is registered for it
	known                   bool // there are figures
}

func (p *pool) uses(s *server) bool {
	for _, l := range p.links {
		if l.srv == s {
			return true
		}
	}
	return false
}

// functionOf is the index of the function that a report is about, -1 if it is none of the pool's.
func (p *pool) functionOf(r telemetry.Report) int {
	if r.HasFunction {
		return slices.Index(p.hashes, r.Function)
	}
	if len(p.functions) == 1 {
		return 0
	}
	return -1
}

// period is how often the pool wants its job servers polled.
func (p *pool) period() time.Duration {
	if p.sub.AtZero {
		return max(atZeroPeriod, p.w.opts.MinPeriod)
	}
	return max(p.sub.Period, p.w.opts.MinPeriod)
}

const atZeroPeriod = time.Second

// normalise checks a subscription and fills in its defaults.
func normalise(sub Subscription) (Subscription, []targetKey, error) {
	if sub.Period == 0 {
		sub.Period = 5 * time.Second
	}
	if sub.StaleAfter == 0 {
		sub.StaleAfter = time.Hour
	}
	if sub.Hold == 0 {
		sub.Hold = 10 * time.Minute
	}
	var errs []error
	if sub.Period < 0 || sub.StaleAfter < 0 || sub.Hold < 0 {
		errs = append(errs, errors.New("period, staleAfter and hold must not be negative"))
	}
	if len(sub.Servers) == 0 {
		errs = append(errs, errors.New("name at least one job server"))
	}
	if len(sub.Functions) == 0 {
		errs = append(errs, errors.New("name at least one function"))
	}
	if sub.TLS != nil && sub.TLS.Config == nil {
		errs = append(errs, errors.New("TLS without a way to get its configuration"))
	}
	keys := make([]targetKey, 0, len(sub.Servers))
	for _, s := range sub.Servers {
		a, err := gearman.ParseAddress(s)
		if err != nil {
			errs = append(errs, err)
		}
		keys = append(keys, targetKey{host: a.Host, port: a.Port}) // the caller fills in the rest
	}
	seen := make(map[string]bool, len(sub.Functions))
	for _, f := range sub.Functions {
		if f == "" || seen[f] {
			errs = append(errs, fmt.Errorf("function %q: must not be empty or named twice", f))
		}
		seen[f] = true
	}
	return sub, keys, errors.Join(errs...)
}

// Set adds a pool's subscription, or changes it. Calling it again without a change costs little.
// The error says which part of the subscription is invalid; the previous one is kept then.
func (w *Watcher) Set(key PoolKey, sub Subscription) error {
	sub, keys, err := normalise(sub)
	if err != nil {
		return fmt.Errorf("pool %s: %w", key, err)
	}
	tls := ""
	if sub.TLS != nil {
		tls = key.Namespace + "\x00" + sub.TLS.Identity
	}
	for i := range keys {
		keys[i].namespace, keys[i].tls = key.Namespace, tls
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.pools[key]
	if p == nil {
		p = &pool{w: w, key: key, tenant: w.tenant(key.Namespace), since: now, nextTick: now.Add(sub.Period)}
		w.pools[key] = p
	}
	bell := p.sub.Doorbell
	p.sub = sub
	if soon := now.Add(sub.Period); soon.Before(p.nextTick) {
		p.nextTick = soon
	}
	changed := !slices.Equal(p.functions, sub.Functions)
	if changed {
		w.setFunctions(p, slices.Clone(sub.Functions))
	}
	p.sub.Functions, p.sub.Servers = p.functions, slices.Clone(sub.Servers)
	if w.setTargets(p, keys, now) || changed {
		w.relink(p)
	}
	for _, l := range p.links {
		if l.srv == nil {
			continue
		}
		if sub.TLS != nil {
			l.srv.tls.use(sub.TLS)
		}
		if sub.Doorbell {
			l.srv.startDoorbell()
		}
		l.srv.pollBy(p.period())
		if sub.Doorbell || bell {
			l.srv.updateBell()
		}
	}
	return nil
}

// setFunctions changes the functions of a pool, and keeps the counts of those that stay. relink
// creates the links again.
func (w *Watcher) setFunctions(p *pool, functions []string) {
	to := make([]int, len(functions))
	sums := make([]telemetry.Counters, len(functions))
	hashes := make([]uint32, len(functions))
	for i, f := range functions {
		hashes[i] = telemetry.FunctionHash(f)
		if to[i] = slices.Index(p.functions, f); to[i] >= 0 {
			sums[i] = p.sums[to[i]]
		}
	}
	for _, q := range p.pods {
		q.remap(to)
	}
	p.functions, p.hashes, p.sums = functions, hashes, sums
	p.version++
	for _, l := range p.links {
		if l.srv != nil {
			old := l.cells
			l.cells = l.srv.acquire(functions)
			l.srv.release(old)
		}
	}
}

// setTargets makes the pool refer to the targets of these keys, and reports whether that changed
// anything.
func (w *Watcher) setTargets(p *pool, keys []targetKey, now time.Time) bool {
	former := p.targets
	same := len(former) == len(keys)
	for i := 0; same && i < len(keys); i++ {
		same = former[i].key == keys[i]
	}
	if same {
		return false
	}
	p.targets = make([]*target, len(keys))
	for i, k := range keys {
		t := w.targets[k]
		if t == nil {
			t = newTarget(w, k, now)
			t.tenant = p.tenant
			w.targets[k] = t
			w.admit(t)
		}
		if !slices.Contains(t.pools, p) {
			t.pools = append(t.pools, p)
		}
		p.targets[i] = t
	}
	for _, t := range former {
		if !slices.Contains(p.targets, t) {
			w.dropTarget(t, p)
		}
	}
	return true
}

func (w *Watcher) dropTarget(t *target, p *pool) {
	t.pools = slices.DeleteFunc(t.pools, func(q *pool) bool { return q == p })
	if len(t.pools) == 0 && w.targets[t.key] == t {
		t.stopLookups()
		delete(w.targets, t.key)
		switch {
		case t.paused:
			w.paused--
		case !t.literal:
			t.tenant.names--
		}
	}
}

// admit starts the look-ups of a name, unless its namespace has too many names.
func (w *Watcher) admit(t *target) {
	switch {
	case t.literal:
	case t.tenant.names >= w.opts.MaxNamespaceServers:
		if !t.paused {
			t.paused = true
			w.paused++
		}
	default:
		if t.paused {
			t.paused = false
			w.paused--
		}
		t.tenant.names++
		t.startLookups()
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Remove deletes a pool, and everything that no other pool needs.
func (w *Watcher) Remove(key PoolKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.pools[key]
	if p == nil {
		return
	}
	delete(w.pools, key)
	w.setPods(p, nil)
	for _, l := range p.links {
		w.disconnect(l)
	}
	for _, t := range p.targets {
		w.dropTarget(t, p)
	}
	p.links, p.targets = nil, nil
	w.leave(key.Namespace)
}

// SetPods sets which pods the pool has. Telemetry of other pods is ignored; the counts of deleted
// pods stay in the pool's sums.
func (w *Watcher) SetPods(key PoolKey, pods []PodRef) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.pools[key]; p != nil {
		w.setPods(p, pods)
	}
}
