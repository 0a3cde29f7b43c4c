// Package wire is the network of a world: connections in memory on which every chunk travels for
// its own time, hosts that are killed or fall silent, and servers that can't be reached. All times
// come from the seed.
package wire

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/gearman-operator/gearman-operator/test/world/dice"
)

// window is how many bytes may be in flight in one direction before a writer waits.
const window = 256 << 10

// Dial connects to a server; gearmantest.Server.DialContext is one.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Network connects hosts with servers.
type Network struct {
	dice *dice.Dice

	mu      sync.Mutex
	servers map[string]*server
	wg      sync.WaitGroup
}

type server struct {
	dial Dial
	lost bool // packets to and from it are lost

	conns []*Conn
}

// New returns a network without servers.
func New(seed uint64) *Network { return &Network{dice: dice.New(seed), servers: map[string]*server{}} }

// Add registers a server by its address, host:port.
func (n *Network) Add(address string, d Dial) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.servers[address] = &server{dial: d}
}

// SetLost loses all packets to and from a server, or ends that. Meanwhile a dial takes until the
// caller gives up, and data sent on a connection arrives when the loss ends.
func (n *Network) SetLost(address string, lost bool) {
	n.mu.Lock()
	s := n.servers[address]
	s.lost = lost
	conns := slices.Clone(s.conns)
	n.mu.Unlock()
	for _, c := range conns {
		c.in.hold(lost)
		c.out.hold(lost)
	}
}

// Wait returns when all connections have ended.
func (n *Network) Wait() { n.wg.Wait() }

// Host is one end of connections: a pod, or the operator.
type Host struct {
	net  *Network
	name string

	mu     sync.Mutex
	conns  []*Conn
	dead   bool
	frozen bool
}

// Host returns a new host. Its latencies depend on the seed and its name alone.
func (n *Network) Host(name string) *Host {
	return &Host{net: n, name: name}
}

// DialContext has the signature of net.Dialer's method.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: addr(address), Err: err}
	}
	h.net.mu.Lock()
	s := h.net.servers[address]
	lost := s != nil && s.lost
	h.net.mu.Unlock()
	h.mu.Lock()
	dead, frozen := h.dead, h.frozen
	h.mu.Unlock()
	route := h.name + " to " + address
	d := h.net.dice.Between(route, 100*time.Microsecond, 1100*time.Microsecond)
	seed := h.net.dice.Uint64(route)
	if dead {
		return fail(syscall.ENETDOWN)
	}
	if lost || frozen {
		<-ctx.Done()
		return fail(ctx.Err())
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return fail(ctx.Err())
	case <-t.C:
	}
	if s == nil {
		return fail(syscall.EHOSTUNREACH)
	}
	far, err := s.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := newConn(far, seed)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dead {
		_ = far.Close()
		return fail(syscall.ENETDOWN)
	}
	h.conns = append(slices.DeleteFunc(h.conns, (*Conn).over), c)
	h.net.mu.Lock()
	s.conns = append(slices.DeleteFunc(s.conns, (*Conn).over), c)
	h.net.mu.Unlock()
	h.net.wg.Go(func() { c.send(far) })
	h.net.wg.Go(func() { c.receive(far) })
	return c, nil
}

// Kill cuts all of the host's connections, like the end of its process; nothing in flight arrives.
func (h *Host) Kill() {
	h.mu.Lock()
	h.dead = true
	conns := h.conns
	h.conns = nil
	h.mu.Unlock()
	for _, c := range conns {
		c.cut(syscall.ECONNRESET)
	}
}

// Freeze leaves the host's connections open and unread, like a machine that lost power. Nothing
// arrives any more.
func (h *Host) Freeze() {
	h.mu.Lock()
	h.frozen = true
	conns := h.conns
	h.mu.Unlock()
	for _, c := range conns {
		c.in.freeze()
		c.out.freeze()
	}
}

// Conn is the host's end of a connection.
type Conn struct {
	in, out       *half
	local, remote net.Addr
	far           net.Conn

	read, write deadline
}

func newConn(far net.Conn, seed uint64) *Conn {
	return &Conn{
		in: newHalf(seed, 1), out: newHalf(seed, 2), far: far, local: far.LocalAddr(), remote: far.RemoteAddr(),
		read: newDeadline(), write: newDeadline(),
	}
}

func (c *Conn) over() bool { return c.in.broken() && c.out.broken() }

// cut ends the connection at once on both ends.
func (c *Conn) cut(err error) {
	c.in.cut(err)
	c.out.cut(err)
	_ = c.far.Close()
}

// send delivers chunks to the server when their time has come.
func (c *Conn) send(far net.Conn) {
	for {
		p, err := c.out.next(nil)
		if err == nil {
			_, err = far.Write(p)
		}
		if err != nil {
			c.out.close(syscall.EPIPE, true)
			_ = far.Close()
			return
		}
	}
}

// receive reads what the server sends.
func (c *Conn) receive(far net.Conn) {
	buf := make([]byte, 16<<10)
	for {
		n, err := far.Read(buf)
		if n > 0 && c.in.put(slices.Clone(buf[:n]), nil) != nil {
			err = io.ErrClosedPipe
		}
		if err != nil {
			c.in.end(io.EOF)
			_ = far.Close()
			return
		}
	}
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p, c.read.passed())
	return n, c.fail("read", err)
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.out.put(slices.Clone(p), c.write.passed()); err != nil {
		return 0, c.fail("write", err)
	}
	return len(p), nil
}

func (c *Conn) fail(op string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

// Close implements net.Conn. What was written before still arrives.
func (c *Conn) Close() error {
	c.in.close(net.ErrClosed, true)
	c.out.close(net.ErrClosed, false)
	return nil
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	c.read.set(t)
	c.write.set(t)
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error { c.read.set(t); return nil }

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error { c.write.set(t); return nil }

type addr string

func (addr) Network() string  { return "tcp" }
func (a addr) String() string { return string(a) }

var errDeadline = os.ErrDeadlineExceeded
