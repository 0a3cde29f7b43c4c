package backlog

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

const defaultPort = 4730

// splitServer takes host[:port] apart. An IPv6 address with a port must stand in brackets; without a port it may.
func splitServer(s string) (host string, port uint16, err error) {
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil {
		return a.Unmap().String(), defaultPort, nil
	}
	host, port = s, defaultPort
	if strings.ContainsRune(s, ':') {
		var p string
		if host, p, err = net.SplitHostPort(s); err != nil {
			return "", 0, fmt.Errorf("server %q: want host or host:port, an IPv6 address in brackets", s)
		}
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return "", 0, fmt.Errorf("server %q: the port must be 1 to 65535", s)
		}
		port = uint16(n)
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().String(), port, nil
	}
	if host == "" || len(host) > 253 || strings.ContainsAny(host, " \t\r\n/[]%") {
		return "", 0, fmt.Errorf("server %q: %q is neither a host name nor an address", s, host)
	}
	return host, port, nil
}
