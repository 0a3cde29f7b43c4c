package resolve

import (
	"net/netip"
	"slices"

	"github.com/gearman-operator/gearman-operator/gearman"
)

// MaxAddresses is how many addresses of a name are used, and MaxServers how many job servers of a
// pool are, unless the operator's --max-job-servers-per-pool and the worker's --max-job-servers say
// otherwise.
const (
	MaxAddresses = 64
	MaxServers   = 256
)

// Families returns the addresses of the family that is used first, and of the other one, which is
// used if none of the first can be reached. Both are sorted, each address once. In a dual-stack
// cluster each job server has an address of both families, and counting it twice would double its
// queue.
func Families(addrs []netip.Addr) (first, other []netip.Addr) {
	first, other = gearman.OneFamily(addrs)
	slices.SortFunc(first, netip.Addr.Compare)
	slices.SortFunc(other, netip.Addr.Compare)
	return slices.Compact(first), slices.Compact(other)
}

// Choose returns at most most of the addresses: those in use, and of the others the first. Both are
// sorted.
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
	if len(chosen) > most {
		chosen = chosen[:most]
	}
	chosen = append(chosen, others[:most-len(chosen)]...) // and no room for more: the rest would be kept
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
