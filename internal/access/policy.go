package access

import (
	"fmt"
	"net/netip"
	"strings"
)

// Policy is a list of what is allowed. The zero value allows everything but loopback, link-local, multicast and unspecified addresses.
type Policy struct {
	rules []rule
}

type rule struct {
	namespace string // empty: all
	prefix    netip.Prefix
	name      string // a host name; with a leading dot, all names below it
}

// Parse reads a comma-separated list of rules: CIDRs, addresses, host names and *.domains, each for all namespaces or as NAMESPACE=RULE.
func Parse(list string) (*Policy, error) {
	p := &Policy{}
	for part := range strings.SplitSeq(list, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		var r rule
		what := part
		if ns, rest, ok := strings.Cut(part, "="); ok {
			r.namespace, what = ns, rest
			if ns == "" {
				return nil, fmt.Errorf("%q names no namespace before the equals sign", part)
			}
		}
		prefix, err := netip.ParsePrefix(what)
		addr, addrErr := netip.ParseAddr(what)
		switch {
		case err == nil:
			r.prefix = prefix.Masked()
		case addrErr == nil:
			r.prefix = netip.PrefixFrom(addr, addr.BitLen())
		case what == "" || strings.ContainsAny(what, " /:"):
			return nil, fmt.Errorf("%q is no CIDR, address, host name or *.domain", what)
		default:
			r.name = strings.ToLower(strings.TrimPrefix(strings.TrimSuffix(what, "."), "*"))
		}
		p.rules = append(p.rules, r)
	}
	return p, nil
}

// Check says whether pools of the namespace may use the job server at addr, which name resolved to. The error says why not.
func (p *Policy) Check(namespace string, addr netip.Addr, name string) error {
	addr = addr.Unmap()
	local := addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsMulticast() || addr.IsUnspecified()
	if len(p.rules) == 0 {
		if local {
			return fmt.Errorf("%s is a loopback, link-local or multicast address; --allowed-job-servers would have to name it", addr)
		}
		return nil
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	for _, r := range p.rules {
		if r.namespace != "" && r.namespace != namespace {
			continue
		}
		if r.prefix.IsValid() {
			if r.prefix.Contains(addr) {
				return nil
			}
			continue
		}
		// A name alone must not open a way to the operator's own node.
		if !local && (name == r.name || strings.HasPrefix(r.name, ".") && strings.HasSuffix(name, r.name)) {
			return nil
		}
	}
	return fmt.Errorf("%s (%s) is not among the job servers that --allowed-job-servers allows namespace %s", name, addr, namespace)
}
