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
		"another namespace's":           {"a=10.0.0.0/8", "b", "10.1.2.3", "g", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := Parse(tt.rules)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Check(tt.namespace, netip.MustParseAddr(tt.addr), tt.name); (err == nil) != tt.allowed {
				t.Errorf("got %v; want allowed = %v", err, tt.allowed)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, rules := range []string{"=10.0.0.0/8", "a=", "10.0.0.0/99", "http://x", "two names"} {
		if _, err := Parse(rules); err == nil || !strings.Contains(err.Error(), "names no namespace") && !strings.Contains(err.Error(), "is no CIDR") {
			t.Errorf("Parse(%q) = %v; want an error that says what is wrong", rules, err)
		}
	}
}
