//go:build unix

package client

import (
	"net"
	"syscall"
)

// direct writes to a connection without waiting; nil if that can't be done (TLS, say).
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

// write writes as much of b as is taken at once, and returns how much that was. Why it was no more
// the next ordinary write tells.
func (d *direct) write(b []byte) (n int) {
	_ = d.raw.Write(func(fd uintptr) bool {
		n, _ = syscall.Write(int(fd), b)
		return true
	})
	return max(0, n)
}
