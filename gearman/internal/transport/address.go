package transport

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
		return Address{Host: ip.String(), Port: DefaultPort}, nil
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
	return Address{Host: host, Port: uint16(n)}, nil
}

// String gives "host:port", with brackets around IPv6.
func (a Address) String() string { return net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port))) }

// Endpoint is one job server, to be dialled.
type Endpoint struct {
	Addr string // ip:port, or what a custom dialer understands
	Name string // the host as the user wrote it, for TLS
}

// Resolver looks names up. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Resolve gives the job servers behind an address: each IP address of a name is a job server of its own. Of a name with addresses of
// both families only those of the family that comes first are taken, since a job server with two families would be met twice.
// The answer is sorted and without duplicates, and never empty without an error.
func Resolve(ctx context.Context, r Resolver, a Address) ([]Endpoint, error) {
	f, err := ResolveFamilies(ctx, r, a)
	return f.First, err
}

// Families are the job servers behind an address by the family of their addresses.
type Families struct {
	First []Endpoint // those of the family that the resolver puts first
	Other []Endpoint // those of the other one: the same job servers, to be tried where none of First can be reached
}

// ResolveFamilies is Resolve that keeps the addresses of the other family, too. First is never empty without an error.
func ResolveFamilies(ctx context.Context, r Resolver, a Address) (Families, error) {
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
	four := ips[0].Unmap().Is4()
	var f Families
	for _, ip := range ips {
		ip = ip.Unmap()
		e := Endpoint{Addr: netip.AddrPortFrom(ip, a.Port).String(), Name: a.Host}
		if ip.Is4() == four {
			f.First = append(f.First, e)
		} else {
			f.Other = append(f.Other, e)
		}
	}
	f.First, f.Other = sorted(f.First), sorted(f.Other)
	return f, nil
}

func sorted(e []Endpoint) []Endpoint {
	slices.SortFunc(e, func(x, y Endpoint) int { return strings.Compare(x.Addr, y.Addr) })
	return slices.Compact(e)
}
