package access

import "net/netip"

// guarded are networks in which no job server is expected: what answers there is the operator's own
// node, its cloud, or nobody.
var guarded = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),          // this host
	netip.MustParsePrefix("127.0.0.0/8"),        // loopback
	netip.MustParsePrefix("169.254.0.0/16"),     // link-local; metadata of most clouds
	netip.MustParsePrefix("100.100.100.200/32"), // metadata of Alibaba Cloud
	netip.MustParsePrefix("168.63.129.16/32"),   // the host of an Azure machine
	netip.MustParsePrefix("192.0.0.0/24"),       // protocol assignments; metadata of Oracle Cloud
	netip.MustParsePrefix("240.0.0.0/4"),        // reserved, and broadcast
	netip.MustParsePrefix("::1/128"),            // loopback
	netip.MustParsePrefix("fe80::/10"),          // link-local
	netip.MustParsePrefix("fd00:ec2::/32"),      // metadata of AWS
	netip.MustParsePrefix("fd20:ce::/32"),       // metadata of Google Cloud
}

// guardOf returns the guarded network of an address.
func (p *Policy) guardOf(addr netip.Addr) (netip.Prefix, bool) {
	for _, list := range [][]netip.Prefix{guarded, p.guarded} {
		for _, g := range list {
			if g.Contains(addr) {
				return g, true
			}
		}
	}
	return netip.Prefix{}, false
}

// embeddings are networks of IPv6 addresses that hold an IPv4 address, with the places of its
// bytes.
var embeddings = []struct {
	prefix netip.Prefix
	at     [4]int
	flip   byte // the bytes are stored with these bits changed
}{
	{netip.MustParsePrefix("::/96"), [4]int{12, 13, 14, 15}, 0},           // IPv4-compatible
	{netip.MustParsePrefix("::ffff:0:0:0/96"), [4]int{12, 13, 14, 15}, 0}, // SIIT, IPv4-translated
	{netip.MustParsePrefix("64:ff9b::/96"), [4]int{12, 13, 14, 15}, 0},    // NAT64
	{netip.MustParsePrefix("64:ff9b:1::/48"), [4]int{12, 13, 14, 15}, 0},  // NAT64 of a site, /96 of it
	{netip.MustParsePrefix("64:ff9b:1::/48"), [4]int{6, 7, 9, 10}, 0},     // the same, all of it
	{netip.MustParsePrefix("2002::/16"), [4]int{2, 3, 4, 5}, 0},           // 6to4
	{netip.MustParsePrefix("2001::/32"), [4]int{4, 5, 6, 7}, 0},           // Teredo: its server
	{netip.MustParsePrefix("2001::/32"), [4]int{12, 13, 14, 15}, 0xff},    // Teredo: its client
}

// meanings returns an address and the IPv4 addresses that it holds: a translator may lead there.
func meanings(addr netip.Addr) []netip.Addr {
	addr = addr.WithZone("").Unmap()
	all := []netip.Addr{addr}
	if !addr.Is6() || addr.IsLoopback() || addr.IsUnspecified() {
		return all
	}
	bytes := addr.As16()
	add := func(at [4]int, flip byte) {
		var v4 [4]byte
		for i, j := range at {
			v4[i] = bytes[j] ^ flip
		}
		if v4 != [4]byte{} {
			all = append(all, netip.AddrFrom4(v4))
		}
	}
	for _, e := range embeddings {
		if e.prefix.Contains(addr) {
			add(e.at, e.flip)
		}
	}
	if bytes[8]&^2 == 0 && bytes[9] == 0 && bytes[10] == 0x5e && bytes[11] == 0xfe { // ISATAP
		add([4]int{12, 13, 14, 15}, 0)
	}
	return all
}
