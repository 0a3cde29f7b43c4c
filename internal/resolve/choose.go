package resolve

import (
	"net/netip"
	"slices"

	"github.com/gearman-operator/gearman-operator/gearman"
)

// MaxAddresses is how many addresses of a name are used, and MaxServers how many job servers of a pool
// are, unless the operator's --max-job-servers-per-pool and the worker's --max-job-servers say
// otherwise.
const (
	MaxAddresses = 64
	MaxServers   = 256
)

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

// First returns at most most of the items, in their order: those that are preferred, and of the
// others the first.
func First[T any](items []T, most int, preferred func(T) bool) []T {
	if len(items) <= most {
		return items
	}
	others := most
	for _, item := range items {
		if preferred(item) {
			others--
		}
	}
	out := make([]T, 0, most)
	for _, item := range items {
		switch {
		case len(out) == most:
		case preferred(item):
			out = append(out, item)
		case others > 0:
			others--
			out = append(out, item)
		}
	}
	return out
}
