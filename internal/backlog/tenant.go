package backlog

import (
	"context"
	"time"

	"golang.org/x/time/rate"
)

const (
	// dialsAtOnce is how many dials of a namespace may be under way at the same time, and
	// dialsToSilent how many more to job servers that did not answer the last time.
	dialsAtOnce   = 32
	dialsToSilent = 16
	// lookupsAtOnce is how many look-ups of a namespace may be under way at the same time, and
	// lookupTime the least time that each counts: at most 80 look-ups a second.
	lookupsAtOnce = 4
	lookupTime    = 50 * time.Millisecond
	// checksAtOnce is how many checks for load balancers of a namespace may be under way at the
	// same time.
	checksAtOnce = 4
	// probesAtOnce is how many probes of one job server may be under way at the same time, and
	// probesOfTenant how many of a namespace.
	probesAtOnce   = 4
	probesOfTenant = 256
	// tenantBytes is how many bytes of long answers are read for a namespace in a second, after the
	// first tenantBurst: parsing them takes processor time. The first shortAnswer bytes of an
	// answer are free.
	tenantBytes = 16 << 20
	tenantBurst = 64 << 20
	shortAnswer = 64 << 10
	// newsShare is for how many microseconds of each second the pools of a namespace may be decided
	// on because their job servers have news, after the first newsBurst. All decisions are made one
	// after the other.
	newsShare = 100_000
	newsBurst = 100_000
)

// tenant is one namespace's use of what all namespaces share. Guarded by Watcher.mu, except for the
// lanes.
type tenant struct {
	pools    int
	servers  map[serverKey]int // by number of links
	names    int               // names that are looked up
	queues   int               // of all links
	dials    lane
	silent   lane // dials to job servers that did not answer the last time
	lookups  lookupQueue
	checks   lane
	probes   lane
	bytes    *rate.Limiter // of long answers
	news     *rate.Limiter // microseconds of decisions
	messages bucket
}

func newTenant() *tenant {
	return &tenant{
		servers: make(map[serverKey]int), dials: make(lane, dialsAtOnce), silent: make(lane, dialsToSilent),
		checks: make(lane, checksAtOnce),
		probes: make(lane, probesOfTenant), bytes: rate.NewLimiter(tenantBytes, tenantBurst),
		news:     rate.NewLimiter(newsShare, newsBurst),
		messages: bucket{burst: 20, every: 5 * time.Second},
	}
}

// tenant returns the tenant of a namespace for one more pool; leave releases it.
func (w *Watcher) tenant(namespace string) *tenant {
	t := w.tenants[namespace]
	if t == nil {
		t = newTenant()
		w.tenants[namespace] = t
	}
	t.pools++
	return t
}

func (w *Watcher) leave(namespace string) {
	t := w.tenants[namespace]
	if t.pools--; t.pools == 0 {
		delete(w.tenants, namespace)
	}
}

// lane bounds how many goroutines do something at the same time.
type lane chan struct{}

// enter waits until there is room and returns false if ctx ends first.
func (l lane) enter(ctx context.Context) bool {
	select {
	case l <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (l lane) leave() { <-l }

// enterLane waits for room in a dial lane of one of the namespaces whose pools use the server, nil
// if there are none, and returns false if ctx ends first.
func (s *server) enterLane(ctx context.Context) (lane, bool) {
	for {
		best, linked := s.dialLane()
		if best == nil {
			return nil, true
		}
		select {
		case best <- struct{}{}:
			return best, true
		case <-ctx.Done():
			return nil, false
		case <-linked: // perhaps the other pool's namespace has room
		}
	}
}

// dialLane returns the lane for dialing the server: the one with the most room of the namespaces
// whose pools use it, so that none is slowed down by another. linked is closed when another pool
// starts to use the server.
func (s *server) dialLane() (best lane, linked <-chan struct{}) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	for _, l := range s.links {
		lane := l.pool.tenant.dials
		if s.unanswered {
			lane = l.pool.tenant.silent
		}
		if best == nil || len(lane) < len(best) {
			best = lane
		}
		if len(best) == 0 {
			break
		}
	}
	if s.linked == nil {
		s.linked = make(chan struct{})
	}
	return best, s.linked
}

// byteLimiter returns the limiter of a namespace whose pools use the server, the one with the most
// room; nil if there is none. Watcher.mu is held.
func (s *server) byteLimiter() (best *rate.Limiter) {
	most := 0.
	for _, l := range s.links {
		limiter := l.pool.tenant.bytes
		if limiter == best {
			continue
		}
		if room := limiter.Tokens(); best == nil || room > most {
			best, most = limiter, room
		}
	}
	return best
}

// bucket limits log messages: burst at once, and then one in each interval every.
type bucket struct {
	burst int
	every time.Duration
	used  int
	since time.Time // when used was last lowered
}

// take reports whether a message may be written now.
func (b *bucket) take(now time.Time) bool {
	if n := int(now.Sub(b.since) / b.every); n > 0 {
		b.used = max(0, b.used-n)
		b.since = b.since.Add(time.Duration(n) * b.every)
	}
	if b.used == 0 {
		b.since = now
	}
	if b.used >= b.burst {
		return false
	}
	b.used++
	return true
}

// mayLog reports whether a message about the server may be written now: a flapping job server must
// not fill the log. Watcher.mu is held.
func (s *server) mayLog(now time.Time) bool {
	if !s.messages.take(now) {
		return false
	}
	for _, l := range s.links {
		if l.pool.tenant.messages.take(now) {
			return true
		}
	}
	return false
}
