package proto

import (
	"context"
	"fmt"
	"net"
	"time"
)

// Conn is a connection on which packets and lines of text travel in both directions. It adds
// nothing to the order of things: one goroutine may read while another writes, like on a net.Conn.
type Conn struct {
	nc net.Conn
	*Reader
}

// NewConn wraps a connection.
func NewConn(nc net.Conn, limits Limits) *Conn { return &Conn{nc: nc, Reader: NewReader(nc, limits)} }

// NetConn is the connection below.
func (c *Conn) NetConn() net.Conn { return c.nc }

// Write writes encoded packets or lines.
func (c *Conn) Write(b []byte) (int, error) { return c.nc.Write(b) }

// Close closes the connection.
func (c *Conn) Close() error { return c.nc.Close() }

// SetDeadline bounds all reads and writes to come.
func (c *Conn) SetDeadline(t time.Time) error { return c.nc.SetDeadline(t) }

// Exchange writes request and calls read, which reads what the server answers; all within ctx: when
// it ends, so do they. After an error the state of the conversation is unknown, so the connection
// must be closed.
func (c *Conn) Exchange(ctx context.Context, request []byte, read func(*Conn) error) error {
	// The connection's own deadline could pass a moment before the context's, and then not be told
	// from a failure.
	if err := c.nc.SetDeadline(time.Time{}); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.nc.SetDeadline(time.Unix(1, 0)) })
	_, err := c.nc.Write(request)
	if err == nil {
		err = read(c)
	}
	if !stop() && err == nil {
		// The context ended when all was read: the deadline that it set, or is about to set, would
		// meet the next request.
		err = ctx.Err()
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	return err
}
