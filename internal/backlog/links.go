package backlog

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/resolve"
)

// endpoint identifies a link: an address, and with TLS the name that its certificate must have.
type endpoint struct {
	addr netip.AddrPort
	tls  string
	host string
}

func (t *target) endpoint(addr netip.AddrPort) endpoint {
	e := endpoint{addr: addr, tls: t.key.tls}
	if e.tls != "" {
		e.host = t.key.host
	}
	return e
}

// relink updates the pool's links to its targets' addresses, within the bounds of the pool and of
// its namespace. A job server that no name resolves to any more keeps its link for as long as it
// may have jobs for the pool, see link.droppable.
func (w *Watcher) relink(p *pool) {
	now := time.Now()
	former := make(map[endpoint]*link, len(p.links))
	for _, l := range p.links {
		former[l.target.endpoint(l.addr)] = l
	}
	p.excess = Excess{}
	wanted := p.wanted(former)
	p.settled = !slices.ContainsFunc(p.targets, func(t *target) bool { return t.state == StateConnecting && !t.paused })
	left := w.leftLinks(p, wanted, now)
	links := make([]*link, 0, len(wanted)+len(left))
	for _, c := range wanted {
		l := former[c.endpoint]
		if l == nil {
			l = &link{pool: p, addr: c.addr, target: c.target, since: now}
		}
		l.target, l.gone = c.target, time.Time{}
		if w.connect(l) {
			links = append(links, l)
		}
	}
	p.links = append(links, left...)
}

// leftLinks returns those of the pool's links that no name resolves to any more and that fit beside
// the wanted ones, the most recent first. It ends the others before any new one begins: a job
// server that is replaced must not use up the namespace's limit.
func (w *Watcher) leftLinks(p *pool, wanted []candidate, now time.Time) []*link {
	stays := make(map[endpoint]bool, len(wanted))
	for _, c := range wanted {
		stays[c.endpoint] = true
	}
	var left []*link
	for _, l := range p.links {
		if stays[l.target.endpoint(l.addr)] {
			continue
		}
		if l.gone.IsZero() {
			l.gone = now
		}
		if !slices.Contains(p.targets, l.target) || l.droppable(now) {
			w.disconnect(l)
			continue
		}
		left = append(left, l)
	}
	slices.SortStableFunc(left, func(a, b *link) int { return b.gone.Compare(a.gone) })
	room := max(0, w.opts.MaxPoolServers-len(wanted))
	if len(left) > room {
		p.excess.Pool = true
		for _, l := range left[room:] {
			w.disconnect(l)
		}
		left = left[:room]
	}
	return left
}

type candidate struct {
	endpoint
	target *target
}

// candidates iterates over the job servers that the pool's names resolve to. Addresses come before
// names, as they do in resolve.Resolver. There may be thousands, and some more than once.
func (p *pool) candidates() iter.Seq[candidate] {
	targets := slices.Clone(p.targets)
	slices.SortStableFunc(targets, func(a, b *target) int { return cmp.Compare(placeOf(a), placeOf(b)) })
	return func(yield func(candidate) bool) {
		for _, t := range targets {
			for ip := range t.addrs.All() {
				if !yield(candidate{t.endpoint(netip.AddrPortFrom(ip, t.key.port)), t}) {
					return
				}
			}
		}
	}
}

// wanted returns the job servers that the pool uses, each once: a queue must not count twice. If
// there are more than it may use, those that it uses already come first, by [resolve.First]. Until
// each name has been looked up, only their order counts, as it does in workers that start now.
func (p *pool) wanted(former map[endpoint]*link) []candidate {
	for _, t := range p.targets {
		p.excess.Addresses = p.excess.Addresses || t.excess
		p.excess.Namespace = p.excess.Namespace || t.paused
	}
	most := p.w.opts.MaxPoolServers
	// A name's addresses may change at any moment, so nothing is kept of those beyond the limit.
	var all []candidate
	seen := make(map[endpoint]bool, len(former))
	others := 0
	for c := range p.candidates() {
		switch {
		case seen[c.endpoint]:
			continue
		case p.settled && former[c.endpoint] != nil: // it stays
		case others == most:
			p.excess.Pool = true
			continue
		default:
			others++
		}
		seen[c.endpoint] = true
		all = append(all, c)
	}
	p.excess.Pool = p.excess.Pool || len(all) > most
	return resolve.First(all, most, func(c candidate) bool { return p.settled && former[c.endpoint] != nil })
}

// placeOf orders targets: those that are addresses come first.
func placeOf(t *target) int {
	if t.literal {
		return 0
	}
	return 1
}

// droppable reports whether a job server that no name resolves to any more can be dropped: it has
// never answered; or it has no jobs for the pool, or doesn't answer, and Hold is over. Pods may
// disappear from a name's answer for a while and still hold jobs.
func (l *link) droppable(now time.Time) bool {
	if l.gone.IsZero() {
		return false
	}
	if l.srv == nil || l.srv.lastGood.IsZero() {
		return true
	}
	since := l.gone
	if !l.srv.connected {
		since = latest(since, l.srv.lostAt)
	} else if slices.ContainsFunc(l.cells, func(c *cell) bool { return c.total > 0 }) {
		return false
	}
	return now.Sub(since) >= l.pool.sub.Hold
}

// connect assigns a job server to a link, if the policy lets the pool's namespace use it. It
// returns false if the namespace has too many job servers or queues, and records that.
func (w *Watcher) connect(l *link) bool {
	if err := w.opts.AddressPolicy(l.pool.key.Namespace, l.addr, l.target.key.host); err != nil {
		w.disconnect(l)
		return true
	}
	if w.opts.Listed != nil {
		l.unlisted = !w.opts.Listed(l.pool.key.Namespace, l.addr, l.target.key.host)
	}
	t := l.pool.tenant
	if more := len(l.pool.functions) - l.queues; more > 0 && t.queues+more > w.opts.MaxNamespaceQueues {
		l.pool.excess.Queues = true
		w.disconnect(l)
		return false
	}
	k := serverKey(l.target.endpoint(l.addr))
	if l.srv == nil && t.servers[k] == 0 && len(t.servers) >= w.opts.MaxNamespaceServers {
		l.pool.excess.Namespace = true
		return false
	}
	t.queues += len(l.pool.functions) - l.queues
	l.queues = len(l.pool.functions)
	if l.srv != nil {
		return true
	}
	t.servers[k]++
	s := w.servers[k]
	if s == nil {
		s = newServer(w, k, l.pool.sub.TLS)
		w.servers[k] = s
		s.cancel = w.start(s.run)
	}
	l.srv, l.pos, l.cells = s, len(s.links), s.acquire(l.pool.functions)
	s.links = append(s.links, l)
	if s.linked != nil {
		close(s.linked)
		s.linked = nil
	}
	if l.pool.sub.Doorbell {
		s.startDoorbell()
	}
	s.pollBy(l.pool.period())
	return true
}

// disconnect removes a link's job server, and deletes the server if no pool uses it any more.
func (w *Watcher) disconnect(l *link) {
	s := l.srv
	if s == nil {
		return
	}
	t := l.pool.tenant
	t.queues -= l.queues
	l.queues = 0
	if t.servers[s.key]--; t.servers[s.key] == 0 {
		delete(t.servers, s.key)
	}
	last := len(s.links) - 1
	s.links[l.pos] = s.links[last]
	s.links[l.pos].pos = l.pos
	s.links[last] = nil
	s.links = s.links[:last]
	s.updateBell()
	s.release(l.cells)
	l.srv, l.cells = nil, nil
	if last == 0 {
		s.cancel()
		s.stopDoorbell()
		if s.balance.stop != nil {
			s.balance.stop()
		}
		s.dropForeign()
		s.gone = true
		delete(w.servers, s.key)
	}
}
