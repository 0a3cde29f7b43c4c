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

// ErrAddress is returned for a job server address that can't be parsed.
var ErrAddress = errors.New("invalid job server address")

// Address is a job server's address as a user writes it.
type Address struct {
	Host string // a name or an IP address without brackets
	Port uint16
}

// ParseAddress parses "host", "host:port", "::1", "[::1]" or "[::1]:port".
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

// String returns "host:port", with brackets around an IPv6 address.
func (a Address) String() string { return net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port))) }

// Endpoint is one job server to connect to.
type Endpoint struct {
	Addr string // ip:port, or what a custom dialer understands
	Name string // the host as the user wrote it, for TLS
}

// Resolver looks up names. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Families are the job servers behind an address. A name that has addresses of both IP families
// stands for the same job servers twice, so only one family is used at a time: First, and Other if
// no address of First can be reached. Both are sorted and without duplicates.
type Families struct {
	First, Other []Endpoint
}

// OneFamily splits addresses by IP family, for callers that must count each job server only once.
// First is the family with more addresses, or IPv4 if both have equally many. All callers thus
// choose the same family, in whatever order a resolver returns the addresses.
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

// Resolve returns the job servers behind an address. Each IP address of a name is a separate job
// server. A nil resolver means the system's. First is never empty unless Resolve returns an error.
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
