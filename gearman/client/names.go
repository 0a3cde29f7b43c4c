package client

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
)

// name is one of Options.Servers and its addresses. Client.mu guards it.
type name struct {
	address  gearman.Address
	fixed    bool // an IP address: nothing to look up again
	found    gearman.Families
	other    bool      // the addresses of the other IP family are in use
	looking  bool      // a lookup is under way
	next     time.Time // when to look it up again
	failures int       // consecutive
	err      error     // of the last lookup
}

func newName(a gearman.Address) *name {
	_, err := netip.ParseAddr(a.Host)
	return &name{address: a, fixed: err == nil}
}

// endpoints are the name's job servers at the addresses that are in use now.
func (n *name) endpoints() []gearman.Endpoint {
	if n.other && len(n.found.Other) > 0 {
		return n.found.Other
	}
	return n.found.First
}

// snapshot is the job servers that the names resolved to at one time.
type snapshot struct {
	servers []*server
	due     time.Time // when the next lookup of a name is due; zero: never
}

const (
	lookupTimeout = 5 * time.Second
	// lookupGrace is how long a first call waits for further names once one has been resolved.
	lookupGrace = 250 * time.Millisecond
)

// current returns the job servers as long as no name has to be looked up, and otherwise nil.
func (c *Client) current() []*server {
	snap := c.snap.Load()
	if snap == nil || len(snap.servers) == 0 || !snap.due.IsZero() && !time.Now().Before(snap.due) {
		return nil
	}
	return snap.servers
}

// resolved returns the job servers, in the order of Options.Servers. Each name is looked up
// periodically, in parallel with the others and once for all callers. If a lookup fails or takes
// long, the addresses known before stay in use.
func (c *Client) resolved(ctx context.Context) ([]*server, error) {
	if servers := c.current(); servers != nil {
		return servers, nil
	}
	var grace <-chan time.Time
	for {
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			return nil, ErrClosed
		}
		snap := c.snap.Load()
		known := snap != nil && len(snap.servers) > 0
		first := c.lookUpLocked() // names that have never been resolved and whose lookup is under way
		changed := c.changed
		var errs []error
		for _, n := range c.names {
			errs = append(errs, n.err)
		}
		c.mu.Unlock()
		switch {
		case known && (first == 0 || c.settled.Load()):
			return snap.servers, nil
		case first == 0:
			return nil, fmt.Errorf("%w: %w", ErrNoServer, errors.Join(errs...))
		case known && grace == nil:
			timer := time.NewTimer(lookupGrace)
			defer timer.Stop()
			grace = timer.C
		}
		select {
		case <-changed:
		case <-grace:
			c.settled.Store(true) // once is enough: later calls don't wait for a name that hangs
		case <-ctx.Done():
			return nil, fmt.Errorf("resolve job servers: %w", context.Cause(ctx))
		}
	}
}

// lookUpLocked starts the lookups that are due. It returns how many lookups are under way for names
// that have never been resolved.
func (c *Client) lookUpLocked() (first int) {
	now := time.Now()
	for _, n := range c.names {
		if !n.looking && !now.Before(n.next) && (!n.fixed || n.found.First == nil) {
			n.looking = true
			c.wg.Go(func() { c.lookUp(n) })
		}
		if n.looking && n.found.First == nil {
			first++
		}
	}
	c.rebuildLocked()
	return first
}

func (c *Client) lookUp(n *name) {
	ctx, cancel := context.WithTimeout(c.ctx, max(c.o.ConnectTimeout, lookupTimeout))
	defer cancel()
	found, err := gearman.Resolve(ctx, c.o.Resolver, n.address)
	c.mu.Lock()
	defer c.mu.Unlock()
	n.looking, n.err = false, err
	wait := c.o.ResolveInterval
	if err != nil {
		n.failures++
		wait = min(wait, c.backoff.Delay(n.failures))
		if !c.closed {
			c.o.Logger.Warn(
				"Job server name does not resolve", "server", n.address.String(), "error", err, "retryIn", wait,
			)
		}
	} else {
		n.failures, n.found = 0, n.keepFamily(found)
	}
	n.next = time.Now().Add(wait)
	c.rebuildLocked()
	close(c.changed)
	c.changed = make(chan struct{})
}

// keepFamily keeps the IP family first that was first before. Resolvers return addresses in varying
// order, and each change would replace the set of job servers.
func (n *name) keepFamily(found gearman.Families) gearman.Families {
	isFour := func(e []gearman.Endpoint) bool {
		ap, err := netip.ParseAddrPort(e[0].Addr)
		return err == nil && ap.Addr().Is4()
	}
	if len(n.found.First) > 0 && len(found.Other) > 0 && isFour(found.First) != isFour(n.found.First) {
		found.First, found.Other = found.Other, found.First
	}
	return found
}

// rebuildLocked builds the snapshot from the addresses known now.
func (c *Client) rebuildLocked() {
	snap := &snapshot{}
	for _, n := range c.names {
		for _, ep := range n.endpoints() {
			s := c.servers[ep]
			if s == nil {
				s = &server{ep: ep}
				c.servers[ep] = s
			}
			if !slices.Contains(snap.servers, s) {
				snap.servers = append(snap.servers, s)
			}
		}
		if !n.fixed && (snap.due.IsZero() || n.next.Before(snap.due)) {
			snap.due = n.next
		}
	}
	c.snap.Store(snap)
}

// otherFamilyLocked switches each name to the addresses of the other IP family if none of its job
// servers can be reached at the addresses in use.
func (c *Client) otherFamilyLocked() {
	turned := false
	for _, n := range c.names {
		if len(n.found.Other) == 0 ||
			!slices.ContainsFunc(n.endpoints(), func(ep gearman.Endpoint) bool { return c.servers[ep] != nil }) {
			continue
		}
		if slices.ContainsFunc(n.endpoints(), func(ep gearman.Endpoint) bool {
			s := c.servers[ep]
			return s == nil || s.failures == 0 || s.isOpenLocked()
		}) {
			continue
		}
		n.other = !n.other
		turned = true
	}
	if turned {
		c.rebuildLocked()
	}
}

// serverOf finds a job's server by its address, which may no longer belong to its name.
func (c *Client) serverOf(ctx context.Context, addr string) (*server, error) {
	if _, err := c.resolved(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.servers {
		if s.ep.Addr == addr {
			return s, nil
		}
	}
	return nil, fmt.Errorf("%w: %s is not one of this client's job servers", ErrNoServer, addr)
}
