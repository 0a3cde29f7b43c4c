package access

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Policy is a list of allowed job servers. The zero value allows every address that is not guarded.
type Policy struct {
	rules   []rule
	guarded []netip.Prefix // beside the package's own
}

type rule struct {
	namespace string // empty: all
	prefix    netip.Prefix
	name      string // a host name; with a leading dot, all names below it; may contain $NAMESPACE
	port      uint16 // 0: all
}

// ownNamespace stands in a rule's name for the namespace of the pool.
const ownNamespace = "$NAMESPACE"

// Parse reads a comma-separated list of rules: CIDRs, addresses, host names and *.domains, each
// followed by :PORT or not, for all namespaces or as NAMESPACE=RULE. IPv6 with a port stands in
// brackets: [fd00::/8]:4730. A name may contain $NAMESPACE, the namespace of the pool; a name
// without a dot is a Service there.
func Parse(list string) (*Policy, error) {
	p := &Policy{}
	for part := range strings.SplitSeq(list, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		namespace, what, ok := strings.Cut(part, "=")
		if !ok {
			namespace, what = "", part
		} else if namespace == "" {
			return nil, fmt.Errorf("%q names no namespace before the equals sign", part)
		}
		r, err := parseRule(what)
		if err != nil {
			return nil, err
		}
		r.namespace = namespace
		p.rules = append(p.rules, r)
	}
	return p, nil
}

func parseRule(what string) (rule, error) {
	if prefix, ok := parsePrefix(what); ok {
		return rule{prefix: prefix}, nil
	}
	var r rule
	host := what
	if i := strings.LastIndexByte(what, ':'); i >= 0 {
		port, err := strconv.ParseUint(what[i+1:], 10, 16)
		if err != nil || port == 0 {
			return rule{}, fmt.Errorf("%q: the port must be from 1 to 65535", what)
		}
		host, r.port = what[:i], uint16(port)
	}
	inner, bracketed := strings.CutPrefix(host, "[")
	if bracketed {
		inner, bracketed = strings.CutSuffix(inner, "]")
	}
	if prefix, ok := parsePrefix(inner); ok && (bracketed || prefix.Addr().Is4()) {
		r.prefix = prefix
		return r, nil
	}
	name := strings.ReplaceAll(host, ownNamespace, "x")
	if name == "" || strings.ContainsAny(name, " /:[]$") || strings.Contains(strings.TrimPrefix(name, "*."), "*") {
		return rule{}, fmt.Errorf("%q is not a CIDR, address, host name or *.domain", what)
	}
	r.name = strings.TrimPrefix(strings.TrimSuffix(host, "."), "*")
	if !strings.Contains(r.name, ".") {
		r.name += "." + ownNamespace + ".svc"
	}
	return r, nil
}

func parsePrefix(s string) (netip.Prefix, bool) {
	if prefix, err := netip.ParsePrefix(s); err == nil {
		return prefix.Masked(), true
	}
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	return netip.Prefix{}, false
}

// Guard denies further addresses unless a rule names them. Call it before the policy is used.
func (p *Policy) Guard(addrs ...netip.Addr) {
	for _, a := range addrs {
		p.guarded = append(p.guarded, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
	}
}

var errNever = errors.New("multicast and unspecified addresses are never job servers")

// Check reports whether pools of the namespace may use the job server at addr, which host resolved
// to. An address that stands for an IPv4 address behind a translator must be allowed as both. The
// error says why it is denied.
func (p *Policy) Check(namespace string, addr netip.AddrPort, host string) error {
	for _, a := range meanings(addr.Addr()) {
		if !a.IsValid() || a.IsMulticast() || a.IsUnspecified() {
			return errNever
		}
		if guard, ok := p.guardOf(a); ok && !p.named(namespace, a, addr.Port(), guard) {
			return fmt.Errorf("%s is a loopback, link-local, metadata or reserved address, or the API server's; "+
				"--allowed-job-servers would have to name it, not only a network around it", addr.Addr())
		}
	}
	if len(p.rules) == 0 || p.Listed(namespace, addr, host) {
		return nil
	}
	return fmt.Errorf(
		"%s (%s) is not among the job servers that --allowed-job-servers allows for namespace %s",
		host, addr, namespace,
	)
}

// Listed reports whether a rule lists the job server. Servers that are allowed only because there
// are no rules are not listed.
func (p *Policy) Listed(namespace string, addr netip.AddrPort, host string) bool {
	host = canonical(host, namespace)
	return slices.ContainsFunc(p.rules, func(r rule) bool {
		switch {
		case !r.applies(namespace, addr.Port()):
			return false
		case r.prefix.IsValid():
			return slices.ContainsFunc(meanings(addr.Addr()), r.prefix.Contains)
		}
		return r.matches(host, namespace)
	})
}

// named reports whether a rule names the guarded address: its network lies within the guarded one.
func (p *Policy) named(namespace string, addr netip.Addr, port uint16, guard netip.Prefix) bool {
	return slices.ContainsFunc(p.rules, func(r rule) bool {
		return r.applies(namespace, port) && r.prefix.IsValid() && r.prefix.Bits() >= guard.Bits() &&
			r.prefix.Contains(addr)
	})
}

func (r *rule) applies(namespace string, port uint16) bool {
	return (r.namespace == "" || r.namespace == namespace) && (r.port == 0 || r.port == port)
}

func (r *rule) matches(host, namespace string) bool {
	name := strings.ToLower(strings.ReplaceAll(r.name, ownNamespace, namespace))
	return host == name || strings.HasPrefix(name, ".") && strings.HasSuffix(host, name)
}

// canonical returns a host's name as rules have it: a name without a dot is a Service of the
// namespace.
func canonical(host, namespace string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host != "" && !strings.ContainsAny(host, ".:") {
		host += "." + namespace + ".svc"
	}
	return host
}
