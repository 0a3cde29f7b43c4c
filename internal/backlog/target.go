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

// unresolvedAfter is how many look-ups in a row the name service may fail to answer before what is
// known of a name counts as incomplete.
const unresolvedAfter = 3

type targetKey struct {
	namespace string
	host      string // as written
	port      uint16
	tls       string // namespace and TLS identity, empty without TLS
}

func (k targetKey) String() string { return net.JoinHostPort(k.host, strconv.Itoa(int(k.port))) }

// target is one entry of pools' server lists: a name that is looked up again and again, or an
// address. Guarded by Watcher.mu, but for what never changes.
type target struct {
	w       *Watcher
	key     targetKey
	tenant  *tenant
	lookup  string // the name that is looked up
	literal bool
	paused  bool // the namespace has too many names
	pools   map[*pool]struct{}
	ctx     context.Context // of its look-ups; nil if there are none
	cancel  context.CancelFunc

	again    *time.Timer // until the next look-up; nil before the first
	resting  bool        // again is what is waited for
	earliest time.Time   // for the next look-up, while it rests
	soon     bool        // a look-up is wanted soon, while it doesn't rest

	addrs    []netip.Addr // sorted; those in use of the last answer that had any
	other    bool         // they are of the family that is not used first
	turned   time.Time    // when other was last changed
	excess   bool         // that answer had more
	state    State        // of the name: StateOK, StateConnecting, StateNameNotFound, StateNoAddress, StateUnresolved
	failed   int          // look-ups in a row that got no answer
	since    time.Time
	resolved time.Time // the last answer with addresses
}

func newTarget(w *Watcher, key targetKey, now time.Time) *target {
	t := &target{
		w: w, key: key, lookup: resolve.Name(key.host, key.namespace, w.opts.ClusterDomain),
		pools: make(map[*pool]struct{}), state: StateConnecting, since: now,
	}
	if a, err := netip.ParseAddr(key.host); err == nil {
		t.literal, t.addrs, t.state, t.resolved = true, []netip.Addr{a.Unmap()}, StateOK, now
	}
	return t
}

// startLookups has the name looked up again and again, until stopLookups. Between two look-ups, and
// while it waits for its turn, it takes no goroutine. Watcher.mu is held.
func (t *target) startLookups() {
	t.ctx, t.cancel = context.WithCancel(t.w.ctx)
	t.w.begin(t.queue)
}

// stopLookups ends what startLookups began, if it did. Watcher.mu is held.
func (t *target) stopLookups() {
	if t.ctx == nil {
		return
	}
	t.cancel()
	t.tenant.lookups.drop(t)
	if t.resting {
		t.resting = false
		t.again.Stop()
	}
}

// queue has the name looked up as soon as its namespace may have another look-up under way.
// Watcher.mu is held.
func (t *target) queue() {
	if t.ctx.Err() == nil {
		t.tenant.lookups.enter(t)
	}
}

// turn looks the name up, and has it looked up again later.
func (t *target) turn(ctx context.Context) {
	started := time.Now()
	addrs, err := t.lookUp(ctx)
	// Drawn here, where no two names share an instant: the simulated world can repeat it.
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
		t.rest(started.Add(least), started.Add(max(period, least)))
	}
}

// rest waits with the next look-up until at, or until earliest if it is wanted soon. Watcher.mu is
// held.
func (t *target) rest(earliest, at time.Time) {
	if t.soon {
		at = earliest
	}
	t.resting, t.soon, t.earliest = true, false, earliest
	if t.again == nil {
		t.again = time.AfterFunc(time.Until(at), t.rested)
		return
	}
	t.again.Reset(time.Until(at))
}

// rested ends the wait for the next look-up. A timer that was reset may have called it just before.
func (t *target) rested() {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	if t.resting && !time.Now().Before(t.earliest) {
		t.resting = false
		t.queue()
	}
}

// lookUpSoon asks for a look-up: a connection to one of the addresses was lost. Watcher.mu is held.
func (t *target) lookUpSoon() {
	if !t.resting {
		t.soon = true
		return
	}
	t.again.Reset(time.Until(t.earliest))
}

// turns lets lookupsAtOnce names be looked up at the same time; the others wait in line. Guarded by
// Watcher.mu.
type turns struct {
	taken   int
	waiting []*target
}

// enter has the name looked up when it is its turn.
func (q *turns) enter(t *target) {
	if q.taken == lookupsAtOnce {
		q.waiting = append(q.waiting, t)
		return
	}
	q.taken++
	t.soon = false // what was wanted begins
	t.w.spawn(t.ctx, t.turn)
}

// leave ends a turn: it is the next one's.
func (q *turns) leave() {
	q.taken--
	if len(q.waiting) > 0 {
		next := q.waiting[0]
		q.waiting = slices.Delete(q.waiting, 0, 1)
		q.enter(next)
	}
}

// drop takes a name out of the line.
func (q *turns) drop(t *target) {
	if i := slices.Index(q.waiting, t); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
}

// leastPause is how long a look-up that found so many addresses is good for: Go's resolver opens
// a socket for each of them, to sort them.
func leastPause(addrs int) time.Duration {
	return time.Second * time.Duration(max(1, addrs/leastPauseAddresses))
}

// leastPauseAddresses is how many addresses may be found in a second.
const leastPauseAddresses = 16

func (t *target) lookUp(ctx context.Context) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, t.w.opts.Timeout)
	defer cancel()
	return t.w.opts.LookupHost(ctx, t.lookup)
}

// familyPatience is how long none of a family's addresses must have answered before those of the
// other are tried again: longer than a restart of a job server and the wait before it is dialed
// again.
const familyPatience = 2 * time.Minute

// family returns the addresses that are used: those of the other family if none of these can be
// reached, as workers do.
func (t *target) family(found []netip.Addr, now time.Time) []netip.Addr {
	first, other := resolve.Families(found)
	if len(other) == 0 {
		t.other, t.turned = false, time.Time{}
		return first
	}
	used, reserve := first, other
	if t.other {
		used, reserve = other, first
	}
	if now.Sub(t.turned) >= familyPatience && t.noneAnswers(now) || !t.isConnected(used) && t.isConnected(reserve) {
		t.other, t.turned = !t.other, now
		return reserve
	}
	return used
}

// serverAt returns the job server at an address of the name, nil if none is polled there.
func (t *target) serverAt(ip netip.Addr) *server {
	return t.w.servers[serverKey(t.endpoint(netip.AddrPortFrom(ip, t.key.port)))]
}

// isConnected reports whether any of the addresses answers. One that the name led to before is
// still polled for a while.
func (t *target) isConnected(addrs []netip.Addr) bool {
	return slices.ContainsFunc(addrs, func(ip netip.Addr) bool { s := t.serverAt(ip); return s != nil && s.connected })
}

// noneAnswers reports whether all addresses in use were tried, and none has answered for a while.
func (t *target) noneAnswers(now time.Time) bool {
	return len(t.addrs) > 0 && !slices.ContainsFunc(t.addrs, func(ip netip.Addr) bool {
		s := t.serverAt(ip)
		return s == nil || s.connected || s.state == StateConnecting || now.Sub(s.lastGood) < familyPatience
	})
}

// update takes the outcome of a look-up. An answer without addresses is not taken for "no job
// servers": what was known stays.
func (t *target) update(addrs []netip.Addr, err error) {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	if err == nil && len(addrs) > 0 {
		addrs = t.family(addrs, time.Now())
	}
	before, changed := t.state, t.state == StateConnecting
	if err == nil && len(addrs) > 0 {
		t.failed, t.state, t.resolved = 0, StateOK, time.Now()
		t.excess = len(addrs) > t.w.opts.MaxAddresses
		addrs = resolve.Choose(addrs, t.addrs, t.w.opts.MaxAddresses)
		changed = !slices.Equal(addrs, t.addrs)
		t.addrs = addrs
	} else if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		t.state = StateNameNotFound
	} else if err == nil {
		t.state = StateNoAddress
	} else if t.failed++; t.failed >= unresolvedAfter || len(t.addrs) == 0 {
		t.state = StateUnresolved
	}
	if changed {
		for p := range t.pools {
			t.w.relink(p)
		}
	}
	if t.state != before && t.tenant.messages.take(time.Now()) {
		t.w.log.Info("Name of a job server", "host", t.key.host, "state", t.state, "addresses", len(t.addrs))
	}
}

// jitter moves a duration by up to a tenth to either side, so that pollers that started together
// drift apart.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)*0.2*float64(d)) //nolint:gosec // spreads load, keeps no secret
}
