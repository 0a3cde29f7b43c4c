package resolve

import (
	"iter"
	"net/netip"
)

// Addrs is a list of addresses in little memory: 5 bytes for IPv4 and 17 for IPv6, where a
// [netip.Addr] takes 24. Lists are equal if they have the same addresses in the same order.
type Addrs string // of each address its length in bytes, and its binary form

// longestZone is how long a zone, the name of a network interface, can be.
const longestZone = 64

// Pack returns the list of these addresses. Zones that name no interface, being too long, are left
// out.
func Pack(addrs ...netip.Addr) Addrs {
	list := make([]byte, 0, 17*len(addrs))
	for _, a := range addrs {
		if len(a.Zone()) > longestZone {
			a = a.WithZone("")
		}
		at := len(list)
		list, _ = a.AppendBinary(append(list, 0)) // it can't fail
		list[at] = byte(len(list) - at - 1)       //nolint:gosec // at most 16 and longestZone
	}
	return Addrs(list)
}

// All iterates over the addresses.
func (list Addrs) All() iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for len(list) > 0 {
			var a netip.Addr
			end := 1 + int(list[0])
			_ = a.UnmarshalBinary([]byte(list[1:end])) // what AppendBinary made is valid
			if !yield(a) {
				return
			}
			list = list[end:]
		}
	}
}

// Len returns how many addresses there are.
func (list Addrs) Len() (n int) {
	for ; len(list) > 0; n++ {
		list = list[1+int(list[0]):]
	}
	return n
}
