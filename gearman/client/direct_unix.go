//go:build unix

package client

import (
	"net"
	"syscall"
)

// direct writes to a connection without blocking; it is nil if that isn't possible (for example
// TLS).
type direct struct{ raw syscall.RawConn }

func newDirect(nc net.Conn) *direct {
	c, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	return &direct{raw}
}

// write writes as much of b as the connection accepts at once, and returns that number of bytes. If
// there was an error, the next ordinary write returns it.
func (d *direct) write(b []byte) (n int) {
	_ = d.raw.Write(func(fd uintptr) bool {
		n, _ = syscall.Write(int(fd), b)
		return true
	})
	return max(0, n)
}
