package backlog

import (
	"slices"
	"time"
)

// tick passes the pools with news to Options.OnTick, until the watcher stops. Pools whose job
// servers are all silent are passed by the clock.
func (w *Watcher) tick() {
	clock := time.NewTicker(time.Second)
	defer clock.Stop()
	var first, keys []PoolKey
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-w.news:
		case <-clock.C:
			w.sweep(time.Now())
		}
		w.mu.Lock()
		first, w.first = w.first, first[:0]
		keys, w.due = w.due, keys[:0]
		for _, k := range first {
			if p := w.pools[k]; p != nil {
				p.hasNews = false
			}
		}
		for _, k := range keys {
			if p := w.pools[k]; p != nil {
				p.queued = false
			}
		}
		w.mu.Unlock()
		if w.opts.OnTick == nil {
			continue
		}
		if len(first) > 0 {
			w.opts.OnTick(first, true)
		}
		if len(keys) > 0 {
			w.opts.OnTick(keys, false)
		}
	}
}

// polled queues the pools of a server that was just polled, with or without success.
func (w *Watcher) polled(s *server, now time.Time) {
	for _, l := range s.links {
		p := l.pool
		switch {
		case !p.known && p.complete(now):
			p.known = true
			w.enqueue(p, now)
		case p.sub.AtZero && s.connected &&
			slices.ContainsFunc(l.cells, func(c *cell) bool { return c.changed == s.answer }):
			w.enqueueFirst(p, now)
		// Directly after the poll rather than a little later.
		case !now.Before(p.nextTick.Add(-p.sub.Period * 15 / 100)):
			w.enqueue(p, now)
		}
	}
}

// sweep queues the pools that no poll has queued in time, and drops the job servers that no name
// resolves to any more.
func (w *Watcher) sweep(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.pools {
		if !now.Before(p.nextTick.Add(p.sub.Period * 35 / 100)) {
			w.enqueue(p, now)
		}
		if w.hasRoom(p) {
			w.relink(p)
		} else if slices.ContainsFunc(p.links, func(l *link) bool { return l.droppable(now) }) {
			w.relink(p)
		}
	}
	if w.paused > 0 {
		for _, t := range w.targets {
			if t.paused {
				w.admit(t)
			}
		}
	}
}

// hasRoom reports whether the namespace of a pool has room for more of the job servers that were
// left out.
func (w *Watcher) hasRoom(p *pool) bool {
	t := p.tenant
	return p.excess.Namespace && len(t.servers) < w.opts.MaxNamespaceServers ||
		p.excess.Queues && t.queues+len(p.functions) <= w.opts.MaxNamespaceQueues
}

func (w *Watcher) enqueue(p *pool, now time.Time) {
	p.nextTick = now.Add(p.sub.Period)
	if p.queued {
		return
	}
	p.queued = true
	w.due = append(w.due, p.key)
	w.wake()
}

// decisionCost is about how many microseconds a decision on the pool takes, by
// BenchmarkDecideManyQueues.
func (p *pool) decisionCost() int { return min(20+len(p.links)*len(p.functions)*3/4, newsBurst) }

// enqueueFirst queues a pool at zero with news, as soon as its namespace may have another decision
// because of news: job servers determine how often they have some.
func (w *Watcher) enqueueFirst(p *pool, now time.Time) {
	p.nextTick = now.Add(p.sub.Period)
	if p.hasNews || p.later {
		return
	}
	if wait := p.tenant.news.ReserveN(now, p.decisionCost()).DelayFrom(now); wait > 0 {
		p.later = true
		time.AfterFunc(wait, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			if p.later = false; w.pools[p.key] == p {
				w.putFirst(p)
			}
		})
		return
	}
	w.putFirst(p)
}

func (w *Watcher) putFirst(p *pool) {
	p.hasNews = true
	w.first = append(w.first, p.key)
	w.wake()
}

func (w *Watcher) wake() {
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// complete reports whether all the pool's figures are known.
func (p *pool) complete(now time.Time) bool {
	for _, t := range p.targets {
		if t.state != StateOK && !t.paused {
			return false
		}
	}
	for _, l := range p.links {
		if !l.fresh(now) {
			return false
		}
	}
	return true
}
