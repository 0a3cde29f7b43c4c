package resolve

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestAddrs(t *testing.T) {
	t.Parallel()
	var all []netip.Addr
	for _, s := range []string{"10.0.0.1", "255.255.255.255", "::1", "2001:db8::7", "::ffff:10.0.0.1", "fe80::1%eth0"} {
		all = append(all, netip.MustParseAddr(s))
	}
	for n := range len(all) + 1 {
		list := Pack(all[:n]...)
		if got := slices.Collect(list.All()); !slices.Equal(got, all[:n]) || list.Len() != n {
			t.Errorf("%v became %d: %v", all[:n], list.Len(), got)
		}
		if list != Pack(all[:n]...) {
			t.Errorf("two lists of %v differ", all[:n])
		}
	}
	for range Pack(all...).All() {
		break // the rest is not asked for
	}
	long := netip.MustParseAddr("fe80::2%" + strings.Repeat("z", 300))
	if got := slices.Collect(Pack(long, all[0]).All()); !slices.Equal(got, []netip.Addr{long.WithZone(""), all[0]}) {
		t.Errorf("an address with a long zone became %v", got)
	}
	if Pack(all[0], all[1]) == Pack(all[1], all[0]) {
		t.Error("another order makes no difference")
	}
}

func TestAddrsAreSmall(t *testing.T) {
	t.Parallel()
	var four, six []netip.Addr
	for i := range MaxAddresses {
		four = append(four, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
		six = append(six, netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i)))
	}
	if got := len(Pack(four...)); got > 5*MaxAddresses {
		t.Errorf("%d IPv4 addresses take %d bytes", MaxAddresses, got)
	}
	if got := len(Pack(six...)); got > 17*MaxAddresses {
		t.Errorf("%d IPv6 addresses take %d bytes", MaxAddresses, got)
	}
}
