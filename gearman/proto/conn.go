package proto

import (
	"context"
	"fmt"
	"net"
	"time"
)

// Conn is a connection that carries packets and lines of text in both directions. As on a net.Conn,
// one goroutine may read while another writes; Conn adds no locking.
type Conn struct {
	nc net.Conn
	*Reader
}

// NewConn wraps a connection.
func NewConn(nc net.Conn, limits Limits) *Conn { return &Conn{nc: nc, Reader: NewReader(nc, limits)} }

// NetConn returns the underlying connection.
func (c *Conn) NetConn() net.Conn { return c.nc }

// Write writes encoded packets or lines.
func (c *Conn) Write(b []byte) (int, error) { return c.nc.Write(b) }

// Close closes the connection.
func (c *Conn) Close() error { return c.nc.Close() }

// SetDeadline bounds all future reads and writes.
func (c *Conn) SetDeadline(t time.Time) error { return c.nc.SetDeadline(t) }

// Exchange writes request and calls read to read the job server's response. Both end when ctx ends.
// After an error the state of the connection is unknown, so it must be closed.
func (c *Conn) Exchange(ctx context.Context, request []byte, read func(*Conn) error) error {
	// The connection's own deadline could pass a moment before the context's, and would then look
	// like another failure.
	if err := c.nc.SetDeadline(time.Time{}); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.nc.SetDeadline(time.Unix(1, 0)) })
	_, err := c.nc.Write(request)
	if err == nil {
		err = read(c)
	}
	if !stop() && err == nil {
		// The context ended when all had been read. The deadline that it set, or is about to set,
		// would affect the next request.
		err = ctx.Err()
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	return err
}
