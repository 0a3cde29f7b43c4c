package resolve

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/gearman-operator/gearman-operator/gearman"
)

// MaxAddresses is how many addresses of a name are used.
const MaxAddresses = 64

// Sorted returns the addresses of one family, sorted, each once. In a dual-stack cluster each job server has an address of both, and
// counting it twice would double its queue.
func Sorted(addrs []netip.Addr) []netip.Addr {
	addrs, _ = gearman.OneFamily(addrs)
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs)
}

// Choose returns at most most of the addresses: those that are in use, and of the others the first.
// Both are sorted.
func Choose(found, used []netip.Addr, most int) []netip.Addr {
	if len(found) <= most {
		return found
	}
	chosen := make([]netip.Addr, 0, most)
	var others []netip.Addr
	for _, a := range found {
		if _, ok := slices.BinarySearchFunc(used, a, netip.Addr.Compare); ok {
			chosen = append(chosen, a)
		} else {
			others = append(others, a)
		}
	}
	chosen = append(chosen, others...)[:most]
	slices.SortFunc(chosen, netip.Addr.Compare)
	return chosen
}

// Resolver looks names up for a worker as the operator does for the pool. The zero value is for use
// outside a cluster.
type Resolver struct {
	Domain, Namespace string // as Cluster returns them
	// LookupNetIPWith replaces the system's resolver in tests.
	LookupNetIPWith func(ctx context.Context, network, host string) ([]netip.Addr, error)

	mu   sync.Mutex
	used map[string][]netip.Addr // by host
}

// LookupNetIP returns the addresses of host that are used: those that were, and of others the first.
func (r *Resolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	look := r.LookupNetIPWith
	if look == nil {
		look = net.DefaultResolver.LookupNetIP
	}
	found, err := look(ctx, network, Name(host, r.Namespace, r.Domain))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.used == nil {
		r.used = make(map[string][]netip.Addr)
	}
	chosen := Choose(Sorted(found), r.used[host], MaxAddresses)
	r.used[host] = chosen
	return slices.Clone(chosen), nil
}
