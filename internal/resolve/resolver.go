package resolve

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
)

// firstWait is how long the first answer for a name waits for the other names of a pool with too
// many job servers: those listed before it come first.
const firstWait = 3 * time.Second

// Resolver looks names up for a worker as the operator does for the pool. The zero value is for use
// outside a cluster, and bounds the addresses of each name only.
type Resolver struct {
	Domain, Namespace string // as Cluster returns them
	// Servers are the pool's job servers in their order, MaxServers how many of them are used
	// (256), and ByName says that one address counts once for each name, as it does with TLS.
	Servers    []gearman.Address
	MaxServers int
	ByName     bool
	// LookupNetIPWith replaces the system's resolver in tests.
	LookupNetIPWith func(ctx context.Context, network, host string) ([]netip.Addr, error)

	mu          sync.Mutex
	names       map[string]*name // by host
	used        map[server]bool  // once all names have been looked up
	nextOutcome chan struct{}    // closed with the next result of a look-up
}

// name is the state of a host: the addresses of its last answer, none before the first.
type name struct{ addrs, other []netip.Addr }

// server is one job server. Its host is empty unless it counts for each name.
type server struct {
	addr netip.AddrPort
	host string
}

// LookupNetIP returns the addresses of host that are used: those that were, and of others the
// first. Those of the other family come after them, and are fewer or belong to IPv6, so that
// gearman.OneFamily tells them apart.
func (r *Resolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	look := r.LookupNetIPWith
	if look == nil {
		look = net.DefaultResolver.LookupNetIP
	}
	found, err := look(ctx, network, Name(host, r.Namespace, r.Domain))
	r.recordAnswer(host, found)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	r.await(ctx, host)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.within(host)
}

// recordAnswer records the result of a look-up. No answer is not an empty answer: the former
// addresses are kept.
func (r *Resolver) recordAnswer(host string, found []netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names == nil {
		r.names = make(map[string]*name)
	}
	n := r.names[host]
	if n == nil {
		n = &name{}
		r.names[host] = n
		if r.nextOutcome != nil {
			close(r.nextOutcome)
			r.nextOutcome = nil
		}
	}
	if len(found) > 0 {
		first, other := Families(found)
		n.addrs, n.other = Choose(first, n.addrs, MaxAddresses), Choose(other, n.other, MaxAddresses)
	}
}

// await waits briefly until it is known which addresses of a host are among the first.
func (r *Resolver) await(ctx context.Context, host string) {
	limit := time.NewTimer(firstWait)
	defer limit.Stop()
	for {
		r.mu.Lock()
		ready := r.decidable(host)
		if r.nextOutcome == nil {
			r.nextOutcome = make(chan struct{})
		}
		nextOutcome := r.nextOutcome
		r.mu.Unlock()
		if ready {
			return
		}
		select {
		case <-nextOutcome:
		case <-limit.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// decidable reports whether no name that has not been looked up yet can displace host.
func (r *Resolver) decidable(host string) bool {
	most, unknown, limit := 0, false, cmp.Or(r.MaxServers, MaxServers)
	for _, a := range ordered(r.Servers) {
		switch n := r.names[a.Host]; {
		case isLiteral(a):
			most++
		case n != nil:
			most += len(n.addrs)
		default:
			most += MaxAddresses
			unknown = true
		}
		if most > limit {
			return !unknown
		}
		if a.Host == host &&
			!slices.ContainsFunc(r.Servers, func(b gearman.Address) bool { return b.Host == host && b != a }) {
			return true
		}
	}
	return true
}

// within returns the addresses of host that are within the bound of the pool.
func (r *Resolver) within(host string) ([]netip.Addr, error) {
	mine := r.names[host].addrs
	if len(r.Servers) == 0 {
		return r.names[host].withOther(mine), nil
	}
	all, complete := r.all()
	limit := cmp.Or(r.MaxServers, MaxServers)
	first := First(all, limit, func(s server) bool { return r.used[s] })
	chosen := make(map[server]bool, len(first))
	for _, s := range first {
		chosen[s] = true
	}
	if complete {
		r.used = chosen
	}
	var out []netip.Addr
	for _, a := range mine {
		if slices.ContainsFunc(
			r.Servers, func(s gearman.Address) bool { return s.Host == host && chosen[r.server(s, a)] },
		) {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf(
			"%s is not among the first %d job servers: raise --max-job-servers, or name fewer", host, limit,
		)
	}
	return r.names[host].withOther(out), nil
}

// withOther returns the addresses that are used, and those of the other family after them.
func (n *name) withOther(used []netip.Addr) []netip.Addr {
	most := len(used)
	if most > 0 && !used[0].Is4() {
		most-- // of as many addresses IPv4 is the first
	}
	return slices.Concat(used, n.other[:min(most, len(n.other))])
}

// all returns the job servers that are known, each once, and whether all names have been looked up.
func (r *Resolver) all() (all []server, complete bool) {
	complete = true
	seen := make(map[server]bool)
	for _, s := range ordered(r.Servers) {
		var addrs []netip.Addr
		if a, err := netip.ParseAddr(s.Host); err == nil {
			addrs = []netip.Addr{a}
		} else if n := r.names[s.Host]; n != nil {
			addrs = n.addrs
		} else {
			complete = false
		}
		for _, a := range addrs {
			if one := r.server(s, a); !seen[one] {
				seen[one] = true
				all = append(all, one)
			}
		}
	}
	return all, complete
}

func (r *Resolver) server(s gearman.Address, a netip.Addr) server {
	one := server{addr: netip.AddrPortFrom(a, s.Port)}
	if r.ByName {
		one.host = s.Host
	}
	return one
}

// ordered returns job servers in the order in which they are used: addresses, which need no
// look-up, before names.
func ordered(servers []gearman.Address) []gearman.Address {
	servers = slices.Clone(servers)
	slices.SortStableFunc(servers, func(a, b gearman.Address) int {
		switch first := isLiteral(a); {
		case first == isLiteral(b):
			return 0
		case first:
			return -1
		}
		return 1
	})
	return servers
}

func isLiteral(a gearman.Address) bool {
	_, err := netip.ParseAddr(a.Host)
	return err == nil
}

// Within leaves out the addresses in servers beyond the first most (256), to which a worker would
// connect without a Resolver. Names are kept, and so are invalid entries.
func Within(servers []string, most int) []string {
	literals, most := 0, cmp.Or(most, MaxServers)
	return slices.DeleteFunc(slices.Clone(servers), func(s string) bool {
		a, err := gearman.ParseAddress(s)
		if err != nil || !isLiteral(a) {
			return false
		}
		literals++
		return literals > most
	})
}
