//go:build unix

package transport

import (
	"net"
	"syscall"
)

// Direct writes to a connection without blocking, so it needs no deadline. It is not safe for
// concurrent use.
type Direct struct {
	raw   syscall.RawConn
	write func(fd uintptr) bool // made once, since it would be allocated for each call
	b     []byte
	n     int
}

// NewDirect returns nil if the connection can't be written to directly: it encrypts, or it is of a
// type of the user's own, which has to see what is written.
func NewDirect(nc net.Conn) *Direct {
	var c syscall.Conn
	switch nc := nc.(type) {
	case *net.TCPConn:
		c = nc
	case *net.UnixConn:
		c = nc
	default:
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	d := &Direct{raw: raw}
	d.write = func(fd uintptr) bool {
		d.n, _ = syscall.Write(int(fd), d.b)
		return true
	}
	return d
}

// Write writes as much of b as the connection accepts at once, and returns that number of bytes. If
// there was an error, the next ordinary write returns it.
func (d *Direct) Write(b []byte) int {
	d.b, d.n = b, 0
	_ = d.raw.Write(d.write)
	d.b = nil
	return max(0, d.n)
}
