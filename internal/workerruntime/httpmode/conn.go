package httpmode

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// conn is a connection to the service.
type conn struct {
	net.Conn
	raw      syscall.RawConn // of the socket below TLS
	br       *bufio.Reader
	buf      []byte
	idleFrom time.Time
	reused   bool // it has carried a request before
}

// dialTimeout bounds a connection's set-up, so that the job is retried instead of waiting for a
// service that is gone without closing anything.
const dialTimeout = 10 * time.Second

// dial opens a new connection.
func (h *Handler) dial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	socket, err := h.dialer.DialContext(ctx, h.target.network, h.target.address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: socket}
	if sc, ok := socket.(syscall.Conn); ok {
		if c.raw, err = sc.SyscallConn(); err != nil {
			socket.Close()
			return nil, err
		}
	}
	if h.target.tls != nil {
		secure := tls.Client(socket, h.target.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			socket.Close()
			return nil, err
		}
		c.Conn = secure
	}
	c.br = bufio.NewReaderSize(c.Conn, 16<<10)
	return c, nil
}

// get returns a kept connection, or opens one.
func (h *Handler) get(ctx context.Context) (*conn, error) {
	for {
		h.mu.Lock()
		var c *conn
		if n := len(h.idle); n > 0 {
			c = h.idle[n-1]
			h.idle = h.idle[:n-1]
		}
		h.mu.Unlock()
		if c == nil {
			return h.dial(ctx)
		}
		if c.usable(h.opts.IdleTime) {
			c.reused = true
			return c, nil
		}
		c.Close()
	}
}

func (h *Handler) put(c *conn) {
	c.idleFrom = time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.idle) >= h.opts.Size || h.closed {
		c.Close()
		return
	}
	h.idle = append(h.idle, c)
}

// usable reports whether the service has kept the connection open too. If it has closed it, the end
// of the stream shows now.
func (c *conn) usable(idle time.Duration) bool {
	if time.Since(c.idleFrom) > idle || c.br.Buffered() > 0 {
		return false
	}
	if c.raw == nil {
		return true
	}
	var peek error
	err := c.raw.Read(func(fd uintptr) bool {
		var one [1]byte
		_, _, peek = unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return true
	})
	return err == nil && errors.Is(peek, unix.EAGAIN)
}
