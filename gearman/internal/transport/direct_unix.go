//go:build unix

package transport

import (
	"io"
	"net"
	"os"
	"syscall"
)

// Direct writes to a connection without blocking, so it needs no deadline. It is not safe for
// concurrent use, except that an Exchange whose request is written may still be reading.
type Direct struct {
	raw   syscall.RawConn
	write func(fd uintptr) bool // made once, since it would be allocated for each call
	b     []byte
	n     int

	exchange exchange
}

// exchange is the state of Exchange.
type exchange struct {
	step    func(fd uintptr) bool // made once, like write
	request []byte
	wrote   func(n int) // nil once it was called
	short   bool        // not all was written
	in      []byte
	n       int
	err     error
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
	d.exchange.step = d.exchange.do
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

// Exchange writes request like Write, and calls wrote with the number of bytes. If that is all of
// request, it waits until there is something to read, and reads it into in; otherwise it returns
// false.
//
// A program that writes and then reads first tries to read in vain. It can't wait at once, since
// what arrived before it waits would not wake it. Exchange begins to wait before it writes
// (docs/adr/0039-outcome-and-wait-in-one-step.md).
func (d *Direct) Exchange(request, in []byte, wrote func(n int)) (n int, all bool, err error) {
	e := &d.exchange
	e.request, e.wrote, e.short, e.in, e.n, e.err = request, wrote, false, in, 0, nil
	err = d.raw.Read(e.step)
	if e.wrote != nil { // the connection was closed already
		e.wrote(0)
	}
	e.request, e.wrote, e.in = nil, nil, nil
	if err == nil {
		err = e.err
	}
	return e.n, !e.short, err
}

// do is called to write, and then when there may be something to read. It must not close the
// connection, which would wait for its return.
func (e *exchange) do(fd uintptr) (done bool) {
	if wrote := e.wrote; wrote != nil {
		n, _ := syscall.Write(int(fd), e.request)
		e.short = n < len(e.request)
		e.wrote = nil
		wrote(max(0, n))
		return e.short
	}
	for {
		n, err := syscall.Read(int(fd), e.in)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return false
		case err != nil:
			e.err = os.NewSyscallError("read", err)
		case n == 0:
			e.err = io.EOF
		default:
			e.n = n
		}
		return true
	}
}
