package gearman

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"
)

// DialFunc opens a connection, like net.Dialer.DialContext.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Dialer opens connections to job servers. The zero value is ready to use.
type Dialer struct {
	Dial    DialFunc      // nil: TCP with keep-alive probes
	TLS     *tls.Config   // nil: plain text; ServerName defaults to the host that the server was configured with
	Timeout time.Duration // for connecting and the TLS handshake together (default 5 s)
}

// keepAlive detects a vanished peer after about half a minute; the kernel's own defaults take two
// hours.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

// Connect opens a connection to e.
func (d *Dialer) Connect(ctx context.Context, e Endpoint) (net.Conn, error) {
	timeout := d.Timeout
	if timeout <= 0 {
		timeout = 5 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	dial := d.Dial
	if dial == nil {
		dial = (&net.Dialer{KeepAliveConfig: keepAlive}).DialContext
	}
	nc, err := dial(ctx, "tcp", e.Addr)
	if err != nil {
		return nil, fmt.Errorf("connect to job server %s: %w", e, err)
	}
	if d.TLS != nil {
		config := d.TLS
		if config.ServerName == "" {
			config = config.Clone()
			config.ServerName = e.Name
		}
		tc := tls.Client(nc, config)
		if err := tc.HandshakeContext(ctx); err != nil {
			_ = nc.Close() // the handshake's error has the cause
			return nil, fmt.Errorf("TLS handshake with job server %s: %w", e, err)
		}
		nc = tc
	}
	return nc, nil
}

// String names the job server for messages: its address, and the name that resolved to it.
func (e Endpoint) String() string {
	host, _, err := net.SplitHostPort(e.Addr)
	if err != nil || e.Name == "" || host == e.Name {
		return e.Addr
	}
	return e.Addr + " (" + e.Name + ")"
}
