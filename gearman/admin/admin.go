package admin

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// Errors that callers can distinguish.
var (
	// ErrClosed: the connection was closed, by Close or after an earlier error.
	ErrClosed = errors.New("admin connection is closed")
	// ErrAnswer: the job server's response is not a valid answer to the command.
	ErrAnswer = errors.New("garbled answer")
	// ErrUnsupported: this job server doesn't know the command.
	ErrUnsupported = errors.New("not supported by this job server")
)

// Options of a connection. The zero value is ready to use.
type Options struct {
	// TLS, if set, encrypts the connection; ServerName defaults to the host of the address.
	TLS *tls.Config
	// Dialer opens the connection (default: TCP with keep-alive probes).
	Dialer func(ctx context.Context, network, address string) (net.Conn, error)
	// ConnectTimeout bounds connecting and the TLS handshake (default 5 s).
	ConnectTimeout time.Duration
	// Timeout bounds each request whose context has no earlier deadline (default 10 s).
	Timeout time.Duration
	// ServerName is the host name for TLS if the address given to Dial is already resolved.
	ServerName string
}

// Conn is a connection to a job server. It is safe for concurrent use; requests run one at a time.
type Conn struct {
	addr    string
	conn    *proto.Conn
	timeout time.Duration

	version atomic.Pointer[Version] // the response to Version, once there was one

	turn   chan struct{} // holds a token while no request runs
	mu     sync.Mutex
	closed error // why the connection was closed; nil while it is open
}

// Dial connects to the job server at address: host, host:port or [IPv6]:port, with 4730 as the
// default port.
func Dial(ctx context.Context, address string, o Options) (*Conn, error) {
	a, err := gearman.ParseAddress(address)
	if err != nil {
		return nil, err
	}
	name := a.Host
	if o.ServerName != "" {
		name = o.ServerName
	}
	d := gearman.Dialer{Dial: o.Dialer, TLS: o.TLS, Timeout: o.ConnectTimeout}
	nc, err := d.Connect(ctx, gearman.Endpoint{Addr: a.String(), Name: name})
	if err != nil {
		return nil, err
	}
	return NewConn(a.String(), nc, o), nil
}

// NewConn uses a connection that the caller opened. The Conn then owns it.
func NewConn(address string, nc net.Conn, o Options) *Conn {
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	c := &Conn{addr: address, conn: proto.NewConn(nc, proto.Limits{}), timeout: o.Timeout, turn: make(chan struct{}, 1)}
	c.turn <- struct{}{}
	return c
}

// Resolve returns the addresses (ip:port) of the job servers behind host, host:port or [IPv6]:port,
// sorted. Each IP address of a name is a separate job server. If a name has addresses of both IP
// families, only one family is returned (gearman.OneFamily). A nil resolver means the system's.
func Resolve(ctx context.Context, r Resolver, address string) ([]string, error) {
	a, err := gearman.ParseAddress(address)
	if err != nil {
		return nil, err
	}
	found, err := gearman.Resolve(ctx, r, a)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(found.First))
	for i, e := range found.First {
		out[i] = e.Addr
	}
	return out, nil
}

// Resolver looks up names. *net.Resolver is one.
type Resolver = gearman.Resolver

// Addr is the job server's address as it was dialed.
func (c *Conn) Addr() string { return c.addr }

// Close closes the connection. A request that is waiting for its answer fails with an error.
func (c *Conn) Close() error {
	c.markClosed(ErrClosed)
	return c.conn.Close()
}

func (c *Conn) markClosed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed == nil {
		c.closed = err
	}
}

// Err returns nil while the connection can be used, and afterwards the reason why it can't.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// Exchange sends raw bytes (packets or lines) and calls read to read the job server's response. Use
// it for requests that this package has no method for. If read returns an error, the connection is
// closed. If read consumes less than the whole response, the connection can't be used any more,
// either.
func (c *Conn) Exchange(ctx context.Context, request []byte, read func(*proto.Conn) error) error {
	return c.exchange(ctx, "exchange", request, read)
}

// exchange runs one request. If read returns a refusal, the connection stays open.
func (c *Conn) exchange(ctx context.Context, command string, request []byte, read func(*proto.Conn) error) error {
	ctx, cancel := context.WithTimeoutCause(
		ctx, c.timeout, fmt.Errorf("no answer within %v: %w", c.timeout, context.DeadlineExceeded),
	)
	defer cancel()
	select {
	case <-c.turn:
	case <-ctx.Done():
		return fmt.Errorf("job server %s: %s: wait for earlier requests: %w", c.addr, command, context.Cause(ctx))
	}
	defer func() { c.turn <- struct{}{} }()
	if err := c.Err(); err != nil {
		return fmt.Errorf("job server %s: %s: %w", c.addr, command, err)
	}
	var refused *refusal
	err := c.conn.Exchange(ctx, request, func(conn *proto.Conn) error {
		err := read(conn)
		if errors.As(err, &refused) {
			return nil // a complete response, so the connection can still be used
		}
		return err
	})
	if err != nil {
		if errors.Is(err, io.EOF) { // the connection ended in place of a response, which is no regular end
			err = fmt.Errorf("the server closed the connection: %w", io.ErrUnexpectedEOF)
		}
		err = fmt.Errorf("job server %s: %s: %w", c.addr, command, err)
		c.markClosed(fmt.Errorf("%w after: %w", ErrClosed, err))
		_ = c.conn.Close() // err has the cause
		return err
	}
	if refused != nil {
		return fmt.Errorf("job server %s: %s: %w", c.addr, command, refused.err)
	}
	return nil
}

// A refusal is an error that the job server reported in a well-formed response.
type refusal struct{ err error }

func (r *refusal) Error() string { return r.err.Error() }

// refuse converts an ERR line or an ERROR packet to an error.
func refuse(e *proto.ServerError) error {
	switch strings.ToUpper(e.Code) {
	case "UNKNOWN_COMMAND", "UNKNOWN_SHOW_ARGUMENTS", "UNKNOWN_ARGS":
		return &refusal{fmt.Errorf("%w: %w", ErrUnsupported, e)}
	}
	return &refusal{e}
}

// line sends a command and returns its one-line response.
func (c *Conn) line(ctx context.Context, command, end string) (string, error) {
	if err := proto.CheckCommand(command); err != nil {
		return "", fmt.Errorf("job server %s: %w", c.addr, err)
	}
	var answer string
	err := c.exchange(ctx, command, []byte(command+end), func(conn *proto.Conn) error {
		line, err := conn.ReadLine()
		if err != nil {
			return err
		}
		answer = string(line)
		if r, ok := proto.ParseReply(line); ok && r.Err != nil {
			return refuse(r.Err)
		}
		return nil
	})
	return answer, err
}

// ok sends a command whose response is "OK", and returns the value that follows it.
func (c *Conn) ok(ctx context.Context, command, end string) (string, error) {
	answer, err := c.line(ctx, command, end)
	if err != nil {
		return "", err
	}
	r, ok := proto.ParseReply([]byte(answer))
	if !ok {
		err := fmt.Errorf("job server %s: %s: %w: %.80q where OK was expected", c.addr, command, ErrAnswer, answer)
		c.markClosed(fmt.Errorf("%w after: %w", ErrClosed, err))
		_ = c.conn.Close() // err has the cause
		return "", err
	}
	return r.Value, nil
}

// barrier is sent after a command that returns rows; the job server echoes it. Names can't contain
// a NUL, so no row can contain this packet.
const barrier = "end of rows"

// rows sends a command that returns rows followed by a "." line, and calls each for every row.
func (c *Conn) rows(ctx context.Context, command string, each func(row []byte) error) error {
	request := proto.AppendEcho([]byte(command+"\n"), proto.Request, barrier)
	return c.exchange(ctx, command, request, func(conn *proto.Conn) error {
		var refused error
		var bad error
		ended := false
		for {
			text, err := conn.IsText()
			if err != nil {
				return err
			}
			if !text {
				break
			}
			line, err := conn.ReadLine()
			switch {
			case err != nil:
				return err
			case bad != nil:
				continue // read up to the barrier, so that the connection can still be used
			case ended || refused != nil:
				bad = fmt.Errorf("%w: %.80q after the end of the rows", ErrAnswer, line)
			case len(line) == 1 && line[0] == '.':
				ended = true
			default:
				if err := each(line); err == nil {
					continue
				} else if r, ok := proto.ParseReply(line); ok && r.Err != nil {
					refused = refuse(r.Err)
				} else {
					bad = fmt.Errorf("%w: %w", ErrAnswer, err)
				}
			}
		}
		p, err := conn.Next()
		switch {
		case err != nil:
			return err
		case p.Type != proto.TypeEchoRes || string(p.Data) != barrier:
			return fmt.Errorf("%w: %s after the rows", ErrAnswer, p)
		case bad != nil:
			return &refusal{bad}
		case refused != nil:
			return refused
		case !ended:
			return &refusal{fmt.Errorf("%w: the rows have no end", ErrAnswer)}
		}
		return nil
	})
}

// Version requests the job server's version and dialect. gearmand reports "1.1.20+ds" or "2.0.0",
// Perl's Gearman::Server "v1.130.1".
func (c *Conn) Version(ctx context.Context) (Version, error) {
	line, err := c.line(ctx, "version", "\n")
	if err != nil {
		return Version{}, err
	}
	v := proto.ParseVersion(line)
	c.version.Store(&v)
	return v, nil
}

// PID returns the job server's process id. In a container it is 1 after every restart.
func (c *Conn) PID(ctx context.Context) (int, error) {
	value, err := c.ok(ctx, "getpid", "\n")
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(value)
	if err != nil {
		return 0, fmt.Errorf("job server %s: getpid: %w: %.80q is not a process id", c.addr, ErrAnswer, value)
	}
	return pid, nil
}

// Verbose returns the job server's log level, such as "INFO".
func (c *Conn) Verbose(ctx context.Context) (string, error) { return c.ok(ctx, "verbose", "\n") }

// Echo sends data and waits for its echo: the cheapest proof that the job server is alive.
func (c *Conn) Echo(ctx context.Context, data []byte) error {
	return c.exchange(ctx, "echo", proto.AppendEcho(nil, proto.Request, data), func(conn *proto.Conn) error {
		p, err := conn.Next()
		if err != nil {
			return err
		}
		if p.Type != proto.TypeEchoRes || !bytes.Equal(p.Data, data) {
			return fmt.Errorf("%w: %s where the echo was expected", ErrAnswer, p)
		}
		return nil
	})
}
