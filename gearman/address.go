package gearman

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// DefaultPort is the port that IANA assigned to Gearman.
const DefaultPort = 4730

// ErrAddress is a server address that can't be read.
var ErrAddress = errors.New("invalid job server address")

// Address is a job server as a user names it.
type Address struct {
	Host string // a name or an IP address without brackets
	Port uint16
}

// ParseAddress reads "host", "host:port", "::1", "[::1]" or "[::1]:port".
func ParseAddress(s string) (Address, error) {
	bad := func(why string) (Address, error) {
		return Address{}, fmt.Errorf("%w %q: %s (want host, host:port or [IPv6]:port)", ErrAddress, s, why)
	}
	if s == "" {
		return bad("it is empty")
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '/' }) {
		return bad("it holds white space or a slash")
	}
	bare := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		bare = s[1 : len(s)-1]
	}
	if ip, err := netip.ParseAddr(bare); err == nil {
		return Address{Host: ip.Unmap().String(), Port: DefaultPort}, nil
	}
	if !strings.Contains(s, ":") {
		return Address{Host: s, Port: DefaultPort}, nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return bad("host and port can't be told apart")
	}
	if host == "" {
		return bad("the host is missing")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return bad("the port is not a number from 1 to 65535")
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.Unmap().String()
	}
	return Address{Host: host, Port: uint16(n)}, nil
}

// String gives "host:port", with brackets around IPv6.
func (a Address) String() string { return net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port))) }

// Endpoint is one job server, to be connected to.
type Endpoint struct {
	Addr string // ip:port, or what a custom dialer understands
	Name string // the host as the user wrote it, for TLS
}

// Resolver looks names up. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Families are the job servers behind an address. A name with addresses of both families stands for
// the same job servers twice, so only one family is used at a time: First, and Other where none of
// First can be reached. Both are sorted and without duplicates.
type Families struct {
	First, Other []Endpoint
}

// OneFamily splits addresses by family, for whoever may count each job server only once. First is
// the family with more addresses, IPv4 if both have as many: whatever order a resolver gives them,
// all who ask choose alike.
func OneFamily(addrs []netip.Addr) (first, other []netip.Addr) {
	for _, a := range addrs {
		if a = a.Unmap(); a.Is4() {
			first = append(first, a)
		} else {
			other = append(other, a)
		}
	}
	if len(other) > len(first) {
		return other, first
	}
	return first, other
}

// Resolve gives the job servers behind an address: each IP address of a name is a job server of its
// own. A nil resolver is the system's. First is never empty without an error.
func Resolve(ctx context.Context, r Resolver, a Address) (Families, error) {
	if _, err := netip.ParseAddr(a.Host); err == nil {
		return Families{First: []Endpoint{{Addr: a.String(), Name: a.Host}}}, nil
	}
	if r == nil {
		r = net.DefaultResolver
	}
	ips, err := r.LookupNetIP(ctx, "ip", a.Host)
	if err != nil {
		return Families{}, fmt.Errorf("resolve job server %s: %w", a, err)
	}
	if len(ips) == 0 {
		return Families{}, fmt.Errorf("resolve job server %s: the name has no addresses", a)
	}
	first, other := OneFamily(ips)
	return Families{First: endpoints(a, first), Other: endpoints(a, other)}, nil
}

func endpoints(a Address, ips []netip.Addr) []Endpoint {
	out := make([]Endpoint, 0, len(ips))
	for _, ip := range ips {
		out = append(out, Endpoint{Addr: netip.AddrPortFrom(ip, a.Port).String(), Name: a.Host})
	}
	slices.SortFunc(out, func(x, y Endpoint) int { return strings.Compare(x.Addr, y.Addr) })
	return slices.Compact(out)
}
