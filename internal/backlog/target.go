package backlog

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/internal/resolve"
)

// unresolvedAfter is how many look-ups in a row the name service may leave unanswered before the
// state of a name counts as incomplete.
const unresolvedAfter = 3

type targetKey struct {
	namespace string
	host      string // as written
	port      uint16
	tls       string // namespace and TLS identity, empty without TLS
}

func (k targetKey) String() string { return net.JoinHostPort(k.host, strconv.Itoa(int(k.port))) }

// target is one entry of pools' server lists: a name that is looked up periodically, or an address.
// Guarded by Watcher.mu, except for fields that never change.
type target struct {
	w        *Watcher
	key      targetKey
	tenant   *tenant
	pools    []*pool // in the order in which they named it
	*lookups         // nil if it is not looked up: it is an address, or paused

	addrs   resolve.Addrs // sorted; those in use of the last answer with addresses
	literal bool
	paused  bool // the namespace has too many names
	excess  bool // that answer had more
	// of the name: StateOK, StateConnecting, StateNameNotFound, StateNoAddress, StateUnresolved
	state    State
	since    time.Time
	resolved time.Time // the last answer with addresses
}

// lookups are the look-ups of a name. A namespace may name thousands that are not looked up.
type lookups struct {
	ctx    context.Context
	cancel context.CancelFunc

	again    *time.Timer // until the next look-up; nil before the first
	waiting  bool        // again is pending
	soon     bool        // a look-up is wanted soon, while not waiting
	earliest time.Time   // for the next look-up, while waiting

	failed          int       // in a row without an answer
	useOtherFamily  bool      // the addresses are of the second family
	familyChangedAt time.Time // when useOtherFamily was last changed
}

func newTarget(w *Watcher, key targetKey, now time.Time) *target {
	t := &target{w: w, key: key, state: StateConnecting, since: now}
	if a, err := netip.ParseAddr(key.host); err == nil {
		t.literal, t.addrs, t.state, t.resolved = true, resolve.Pack(a.Unmap()), StateOK, now
	}
	return t
}

// startLookups looks the name up periodically, until stopLookups. Between two look-ups, and while
// it is queued, it needs no goroutine. Watcher.mu is held.
func (t *target) startLookups() {
	t.lookups = &lookups{}
	t.ctx, t.cancel = context.WithCancel(t.w.ctx)
	t.w.begin(t.queue)
}

// stopLookups ends what startLookups began, if it did. Watcher.mu is held.
func (t *target) stopLookups() {
	if t.lookups == nil {
		return
	}
	t.cancel()
	t.tenant.lookups.drop(t)
	if t.waiting {
		t.waiting = false
		t.again.Stop()
	}
}

// queue looks the name up as soon as its namespace may have another look-up under way. Watcher.mu
// is held.
func (t *target) queue() {
	if t.ctx.Err() == nil {
		t.tenant.lookups.enter(t)
	}
}

// run looks the name up, and schedules the next look-up.
func (t *target) run(ctx context.Context) {
	started := time.Now()
	addrs, err := t.lookUp(ctx)
	// Drawn here, where no two names share an instant, so that the simulated world can repeat it.
	period := jitter(t.w.opts.ResolvePeriod)
	if ctx.Err() == nil {
		t.update(addrs, err)
		_ = gearman.Sleep(ctx, lookupTime-time.Since(started)) // the end of ctx is seen below
	}
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	t.tenant.lookups.leave()
	if ctx.Err() == nil {
		least := leastPause(len(addrs))
		t.waitUntil(started.Add(least), started.Add(max(period, least)))
	}
}

// waitUntil delays the next look-up until at, or until earliest if it is wanted soon. Watcher.mu is
// held.
func (t *target) waitUntil(earliest, at time.Time) {
	if t.soon {
		at = earliest
	}
	t.waiting, t.soon, t.earliest = true, false, earliest
	if t.again == nil {
		t.again = time.AfterFunc(time.Until(at), t.waitDone)
		return
	}
	t.again.Reset(time.Until(at))
}

// waitDone ends the wait for the next look-up. A timer that was reset may have called it just
// before.
func (t *target) waitDone() {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	if t.waiting && !time.Now().Before(t.earliest) {
		t.waiting = false
		t.queue()
	}
}

// lookUpSoon requests a look-up: a connection to one of the addresses was lost. Watcher.mu is held.
func (t *target) lookUpSoon() {
	switch {
	case t.lookups == nil:
	case !t.waiting:
		t.soon = true
	default:
		t.again.Reset(time.Until(t.earliest))
	}
}

// lookupQueue looks up lookupsAtOnce names at the same time; the others wait. Guarded by
// Watcher.mu.
type lookupQueue struct {
	taken   int
	waiting []*target
}

// enter looks the name up as soon as one may be.
func (q *lookupQueue) enter(t *target) {
	if q.taken == lookupsAtOnce {
		q.waiting = append(q.waiting, t)
		return
	}
	q.taken++
	t.soon = false // the wanted look-up begins
	t.w.spawn(t.ctx, t.run)
}

// leave ends a look-up and starts the next one.
func (q *lookupQueue) leave() {
	q.taken--
	if len(q.waiting) > 0 {
		next := q.waiting[0]
		q.waiting = slices.Delete(q.waiting, 0, 1)
		q.enter(next)
	}
}

// drop removes a name from the queue.
func (q *lookupQueue) drop(t *target) {
	if i := slices.Index(q.waiting, t); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
}

// leastPause is how long a look-up with that many addresses is valid: Go's resolver opens a socket
// for each of them, to sort them.
func leastPause(addrs int) time.Duration {
	return time.Second * time.Duration(max(1, addrs/leastPauseAddresses))
}

// leastPauseAddresses is how many addresses may be found in a second.
const leastPauseAddresses = 16

func (t *target) lookUp(ctx context.Context) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, t.w.opts.Timeout)
	defer cancel()
	return t.w.opts.LookupHost(ctx, resolve.Name(t.key.host, t.key.namespace, t.w.opts.ClusterDomain))
}

// familyTimeout is how long none of a family's addresses must have answered before those of the
// other are tried again: longer than a restart of a job server and the wait before it is dialed
// again.
const familyTimeout = 2 * time.Minute

// family returns the addresses that are used: those of the other family if none of these can be
// reached, as workers do.
func (t *target) family(found []netip.Addr, now time.Time) []netip.Addr {
	first, other := resolve.Families(found)
	if len(other) == 0 {
		t.useOtherFamily, t.familyChangedAt = false, time.Time{}
		return first
	}
	used, reserve := first, other
	if t.useOtherFamily {
		used, reserve = other, first
	}
	if now.Sub(t.familyChangedAt) >= familyTimeout && t.noneAnswers(now) ||
		!t.isConnected(used) && t.isConnected(reserve) {
		t.useOtherFamily, t.familyChangedAt = !t.useOtherFamily, now
		return reserve
	}
	return used
}

// serverAt returns the job server at an address of the name, nil if none is polled there.
func (t *target) serverAt(ip netip.Addr) *server {
	return t.w.servers[serverKey(t.endpoint(netip.AddrPortFrom(ip, t.key.port)))]
}

// isConnected reports whether any of the addresses answers. A former address of the name is still
// polled for a while.
func (t *target) isConnected(addrs []netip.Addr) bool {
	return slices.ContainsFunc(addrs, func(ip netip.Addr) bool { s := t.serverAt(ip); return s != nil && s.connected })
}

// noneAnswers reports whether all addresses in use were tried, and none has answered for a while.
func (t *target) noneAnswers(now time.Time) bool {
	for ip := range t.addrs.All() {
		s := t.serverAt(ip)
		if s == nil || s.connected || s.state == StateConnecting || now.Sub(s.lastGood) < familyTimeout {
			return false
		}
	}
	return t.addrs != ""
}

// update applies the result of a look-up. An answer without addresses does not mean "no job
// servers": the former addresses stay.
func (t *target) update(addrs []netip.Addr, err error) {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	if err == nil && len(addrs) > 0 {
		addrs = t.family(addrs, time.Now())
	}
	before, changed := t.state, t.state == StateConnecting
	if err == nil && len(addrs) > 0 {
		t.failed, t.state, t.resolved = 0, StateOK, time.Now()
		if t.excess = len(addrs) > t.w.opts.MaxAddresses; t.excess {
			addrs = resolve.Choose(addrs, slices.Collect(t.addrs.All()), t.w.opts.MaxAddresses)
		}
		used := resolve.Pack(addrs...)
		changed = used != t.addrs
		t.addrs = used
	} else if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		t.state = StateNameNotFound
	} else if err == nil {
		t.state = StateNoAddress
	} else if t.failed++; t.failed >= unresolvedAfter || t.addrs == "" {
		t.state = StateUnresolved
	}
	if changed {
		for _, p := range t.pools {
			t.w.relink(p)
		}
	}
	if t.state != before && t.tenant.messages.take(time.Now()) {
		t.w.log.Info("Name of a job server", "host", t.key.host, "state", t.state, "addresses", t.addrs.Len())
	}
}

// jitter moves a duration by up to a tenth to either side, so that pollers that started together
// drift apart.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)*0.2*float64(d)) //nolint:gosec // spreads load, keeps no secret
}
