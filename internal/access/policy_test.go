package access

import (
	"net/netip"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		rules, namespace, addr, name string
		allowed                      bool
	}{
		"anywhere by default":           {"", "a", "10.0.0.1", "g", true},
		"not loopback":                  {"", "a", "127.0.0.1", "g", false},
		"not loopback in IPv6":          {"", "a", "::1", "g", false},
		"not loopback mapped into IPv6": {"", "a", "::ffff:127.0.0.1", "g", false},
		"not link-local (metadata)":     {"", "a", "169.254.169.254", "g", false},
		"not link-local in IPv6":        {"", "a", "fe80::1", "g", false},
		"not unspecified":               {"", "a", "0.0.0.0", "g", false},
		"loopback when named":           {"127.0.0.0/8", "a", "127.0.0.1", "g", true},
		"only what is named":            {"10.0.0.0/8", "a", "192.168.0.1", "g", false},
		"an address":                    {"10.1.2.3", "a", "10.1.2.3", "g", true},
		"a host name":                   {"Gearmand.Jobs.svc.", "a", "10.1.2.3", "gearmand.jobs.SVC", true},
		"another host name":             {"gearmand.jobs.svc", "a", "10.1.2.3", "xgearmand.jobs.svc", false},
		"a domain":                      {"*.jobs.svc", "a", "10.1.2.3", "g.jobs.svc", true},
		"a domain's own name":           {"*.jobs.svc", "a", "10.1.2.3", "jobs.svc", false},
		"a name that leads to loopback": {"*.jobs.svc", "a", "127.0.0.1", "g.jobs.svc", false},
		"the namespace's own":           {"a=10.0.0.0/8", "a", "10.1.2.3", "g", true},
		"everything, not loopback":      {"0.0.0.0/0,::/0", "a", "127.0.0.1", "g", false},
		"everything, not metadata":      {"0.0.0.0/0", "a", "169.254.169.254", "g", false},
		"everything, not loopback v6":   {"::/0", "a", "::1", "g", false},
		"everything":                    {"0.0.0.0/0", "a", "10.0.0.1", "g", true},
		"metadata when named":           {"169.254.169.254", "a", "169.254.169.254", "g", true},
		"named for another namespace":   {"b=127.0.0.1,10.0.0.0/8", "a", "127.0.0.1", "g", false},
		"AWS metadata in IPv6":          {"", "a", "fd00:ec2::254", "g", false},
		"Google metadata in IPv6":       {"", "a", "fd20:ce::254", "g", false},
		"Alibaba metadata":              {"", "a", "100.100.100.200", "g", false},
		"Azure's host":                  {"", "a", "168.63.129.16", "g", false},
		"Oracle metadata":               {"", "a", "192.0.0.192", "g", false},
		"this network":                  {"", "a", "0.1.2.3", "g", false},
		"reserved":                      {"", "a", "240.0.0.1", "g", false},
		"broadcast":                     {"", "a", "255.255.255.255", "g", false},
		"multicast":                     {"224.0.0.0/4", "a", "224.0.0.1", "g", false},
		"a zone":                        {"", "a", "fe80::1%eth0", "g", false},
		"NAT64 to metadata":             {"", "a", "64:ff9b::169.254.169.254", "g", false},
		"NAT64 of a site to metadata":   {"", "a", "64:ff9b:1::169.254.169.254", "g", false},
		"NAT64 /48 to metadata":         {"", "a", "64:ff9b:1:a9fe:a9:fe00::", "g", false},
		"NAT64 of a site":               {"", "a", "64:ff9b:1::10.0.0.1", "g", true},
		"6to4 to loopback":              {"", "a", "2002:7f00:1::1", "g", false},
		"IPv4-compatible":               {"", "a", "::169.254.169.254", "g", false},
		"SIIT":                          {"", "a", "::ffff:0:169.254.169.254", "g", false},
		"Teredo's server":               {"", "a", "2001:0:7f00:1::1", "g", false},
		"Teredo's client":               {"", "a", "2001::80ff:fffe", "g", false},
		"ISATAP":                        {"", "a", "2001:db8::5efe:127.0.0.1", "g", false},
		"NAT64 to an allowed address":   {"10.0.0.0/8", "a", "64:ff9b::10.0.0.1", "g", true},
		"NAT64 to another address":      {"10.0.0.0/8", "a", "64:ff9b::11.0.0.1", "g", false},
		"the network of NAT64":          {"64:ff9b::/96", "a", "64:ff9b::127.0.0.1", "g", false},
		"a port":                        {"10.0.0.0/8:4730", "a", "10.0.0.1", "g", true},
		"another port":                  {"10.0.0.0/8:4731", "a", "10.0.0.1", "g", false},
		"a port in IPv6":                {"[fd00::/8]:4730", "a", "fd00::1", "g", true},
		"another port in IPv6":          {"[fd00::1]:4731", "a", "fd00::1", "g", false},
		"a name with a port":            {"g.jobs.svc:4730", "a", "10.0.0.1", "g.jobs.svc", true},
		"a name with another port":      {"g.jobs.svc:4731", "a", "10.0.0.1", "g.jobs.svc", false},
		"a name without a dot":          {"gearmand", "a", "10.0.0.1", "gearmand", true},
		"it in full":                    {"gearmand", "a", "10.0.0.1", "gearmand.a.svc", true},
		"that of another namespace":     {"gearmand", "a", "10.0.0.1", "gearmand.b.svc", false},
		"own namespace":                 {"*.$NAMESPACE.svc", "a", "10.0.0.1", "gearmand", true},
		"not own namespace":             {"*.$NAMESPACE.svc", "a", "10.0.0.1", "gearmand.b.svc", false},
		"the API server":                {"", "a", "10.96.0.1", "g", false},
		"the API server's network":      {"10.96.0.0/12", "a", "10.96.0.1", "g", false},
		"the API server when named":     {"10.96.0.1", "a", "10.96.0.1", "g", true},
		"another namespace's":           {"a=10.0.0.0/8", "b", "10.1.2.3", "g", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := Parse(tt.rules)
			if err != nil {
				t.Fatal(err)
			}
			p.Guard(netip.MustParseAddr("10.96.0.1"))
			if err := p.Check(
				tt.namespace, netip.AddrPortFrom(netip.MustParseAddr(tt.addr), 4730), tt.name,
			); (err == nil) != tt.allowed {
				t.Errorf("got %v; want allowed = %v", err, tt.allowed)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, rules := range []string{
		"=10.0.0.0/8", "a=", "10.0.0.0/99", "http://x", "two names", "10.0.0.1:0", "10.0.0.1:x", "fd00::/8:70000",
		"a.*.b", "$OTHER.svc", "[g]", "[fd00::1",
	} {
		if _, err := Parse(rules); err == nil || !strings.Contains(err.Error(), "names no namespace") &&
			!strings.Contains(err.Error(), "is not a CIDR") && !strings.Contains(err.Error(), "the port must be") {
			t.Errorf("Parse(%q) = %v; want an error that says what is wrong", rules, err)
		}
	}
}

// Listed distinguishes servers that are allowed only because nothing is listed from those that a
// rule lists.
func TestListed(t *testing.T) {
	t.Parallel()
	addr := netip.MustParseAddrPort("10.0.0.1:4730")
	for rules, want := range map[string]bool{"": false, "10.0.0.0/8": true, "gearmand": true, "other": false} {
		p, err := Parse(rules)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Listed("a", addr, "gearmand"); got != want {
			t.Errorf("%q: %v, want %v", rules, got, want)
		}
	}
}

// However an address is written as IPv6, no form of a guarded IPv4 address is allowed.
func FuzzNoFormIsAllowed(f *testing.F) {
	for _, a := range []string{
		"::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:a9fe:a9fe::", "2001:0:7f00:1::", "::7f00:1",
	} {
		b := netip.MustParseAddr(a).As16()
		f.Add(b[:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		addr, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		p := new(Policy)
		if p.Check("a", netip.AddrPortFrom(addr, 4730), "g") != nil {
			return
		}
		for _, a := range meanings(addr) {
			if a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || a.IsMulticast() {
				t.Fatalf("%v is allowed, and means %v", addr, a)
			}
		}
	})
}
