//go:build linux && !portable && !nothreads

package workerruntime

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime/process"
)

// A job of exec mode is mostly system calls of its slot's thread: it makes pipes, starts a process
// and waits for its end. The Go runtime sees the thread as busy, and meanwhile checks its poller
// only if another thread happens to; a slot that waits there for its job server's answer would wait
// for the other slots' jobs. So slots of exec mode wait on threads of their own for anything that
// comes soon. To see the gain, compare the exec rows of "make bench-worker" with those of a worker
// built with the tag nothreads.

// mostThreads is the largest number of slots that have room in the scheduler without taking it from
// each other. The room for one thread takes up to 150 KiB.
const mostThreads = 16

// roomForThreads lets the threads of all slots be in system calls at once. A thread in a system
// call keeps its processor, one of GOMAXPROCS, for up to 10 ms. If none is left over, the runtime's
// monitor wakes every 20 us to take processors away, which costs more than a small job itself.
func roomForThreads(concurrency int) {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), min(concurrency, mostThreads)+2))
	}
}

// threadConn is a TCP connection whose reads block a thread for a short while before they wait in
// the runtime's poller. Otherwise it is not in the poller, unlike a [net.TCPConn], whose answers
// would each also wake the thread that watches the poller, for nothing.
type threadConn struct {
	file          *os.File // keeps the descriptor for as long as it is used
	raw           syscall.RawConn
	local, remote net.Addr
	in, out       direction
}

// readBriefly is how long a read blocks a thread. A job server that has a job answers within this
// time.
const readBriefly = 10 * time.Millisecond

// yieldFor is how long a read lets other threads run before it blocks its own. The answer of a job
// server on the same machine comes within this time. Blocking would let the processor go idle, and
// a virtual machine's takes long to wake up: two slots of small jobs would lose 4% of their
// throughput. After a longer wait blockNext reads block at once, so a distant job server costs
// little.
const (
	yieldFor  = 150 * time.Microsecond
	blockNext = 4
)

// dialThread opens a threadConn.
func dialThread(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c, nil
	}
	defer tcp.Close() // the copy of its descriptor stays open
	return newThreadConn(tcp)
}

// newThreadConn takes over c's descriptor.
func newThreadConn(c *net.TCPConn) (*threadConn, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var failed error
	if err := raw.Control(func(old uintptr) { fd, failed = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return nil, err
	}
	if failed != nil {
		return nil, os.NewSyscallError("fcntl", failed)
	}
	// os.NewFile leaves a descriptor out of the poller if it is in blocking mode at that moment.
	if err := unix.SetNonblock(fd, false); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	t := &threadConn{file: os.NewFile(uintptr(fd), "tcp"), local: c.LocalAddr(), remote: c.RemoteAddr()}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = t.file.Close() // err has the cause
		return nil, os.NewSyscallError("fcntl", err)
	}
	if t.raw, err = t.file.SyscallConn(); err != nil {
		_ = t.file.Close() // err has the cause
		return nil, err
	}
	t.in.init("read", unix.EPOLLIN, unix.Read)
	t.out.init("write", unix.EPOLLOUT, unix.Write)
	return t, nil
}

// Read waits until there is something to read, and reads what there is.
func (c *threadConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.in.turn.Lock()
	defer c.in.turn.Unlock()
	n, err := c.do(&c.in, p)
	if n == 0 && err == nil {
		return 0, io.EOF
	}
	return n, err
}

// Write writes all of p.
func (c *threadConn) Write(p []byte) (written int, err error) {
	c.out.turn.Lock()
	defer c.out.turn.Unlock()
	for written < len(p) && err == nil {
		var n int
		n, err = c.do(&c.out, p[written:])
		written += n
	}
	return written, err
}

// do reads into or writes from p as soon as it can.
func (c *threadConn) do(d *direction, p []byte) (int, error) {
	d.p = p
	defer func() { d.p = nil }()
	for {
		var err error
		if d.timeout, err = d.left(); err != nil {
			return 0, c.fail(d.name, err)
		}
		err = c.raw.Control(d.try)
		switch {
		case d.closed():
			return 0, c.fail(d.name, net.ErrClosed)
		case err != nil:
			return 0, c.fail(d.name, err)
		case d.failed == nil:
			return d.n, nil
		case !errors.Is(d.failed, unix.EAGAIN):
			return 0, c.fail(d.name, os.NewSyscallError(d.name, d.failed))
		}
		switch err := d.wait(c.raw); {
		case d.closed():
			return 0, c.fail(d.name, net.ErrClosed)
		case err != nil:
			return 0, c.fail(d.name, err)
		}
	}
}

func (c *threadConn) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: c.remote.Network(), Source: c.local, Addr: c.remote, Err: err}
}

// Close ends the connection and all calls that wait for it.
func (c *threadConn) Close() error {
	if !c.in.close() {
		return c.fail("close", net.ErrClosed)
	}
	c.out.close()
	// A thread that blocks in poll keeps the descriptor open; this wakes it. An error means that
	// the peer has closed the connection already.
	_ = c.raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
	if err := c.file.Close(); err != nil {
		return c.fail("close", err)
	}
	return nil
}

func (c *threadConn) LocalAddr() net.Addr  { return c.local }
func (c *threadConn) RemoteAddr() net.Addr { return c.remote }

func (c *threadConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *threadConn) SetReadDeadline(t time.Time) error  { return c.setDeadline(&c.in, t) }
func (c *threadConn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.out, t) }

func (c *threadConn) setDeadline(d *direction, t time.Time) error {
	if err := d.setDeadline(t); err != nil {
		return c.fail("set", err)
	}
	return nil
}

// direction is one of a threadConn's two directions.
type direction struct {
	name  string
	event uint32

	turn sync.Mutex // one call at a time
	// The fields that turn guards. They are kept here so that a job causes no garbage.
	p       []byte
	timeout time.Duration // how long a thread may block
	n       int
	failed  error
	try     func(fd uintptr)
	block   int // how many more reads block at once

	mu       sync.Mutex // guards the fields below
	deadline time.Time
	events   *process.Events // made at the first wait
	ended    bool
}

// init makes d ready for call, which doesn't block.
func (d *direction) init(name string, event uint32, call func(fd int, p []byte) (int, error)) {
	d.name, d.event = name, event
	d.try = func(fd uintptr) {
		var began time.Time // the wait
		for blocked := false; ; {
			d.n, d.failed = call(int(fd), d.p)
			switch {
			case errors.Is(d.failed, unix.EINTR):
			case blocked || !errors.Is(d.failed, unix.EAGAIN):
				return
			case !d.yield(&began):
				fds := []unix.PollFd{{Fd: int32(fd), Events: int16(event)}} //nolint:gosec // POLLIN or POLLOUT
				_, _ = unix.Poll(fds, int(d.timeout/time.Millisecond))      // the next call reports the result
				blocked = true
			}
		}
	}
}

// yield lets other threads run, and reports whether to try again before the thread blocks.
func (d *direction) yield(began *time.Time) bool {
	switch now := time.Now(); {
	case d.event != unix.EPOLLIN:
		return false
	case d.block > 0:
		d.block--
		return false
	case began.IsZero():
		*began = now
	case now.Sub(*began) >= yieldFor:
		d.block = blockNext
		return false
	}
	_, _, _ = unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0) // it can't fail
	return true
}

// left returns how long a thread may block.
func (d *direction) left() (time.Duration, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return 0, net.ErrClosed
	}
	if d.deadline.IsZero() {
		return readBriefly, nil
	}
	left := time.Until(d.deadline)
	if left <= 0 {
		return 0, os.ErrDeadlineExceeded
	}
	return min(left, readBriefly), nil
}

// wait waits in the runtime's poller.
func (d *direction) wait(raw syscall.RawConn) error {
	events, err := d.waitingEvents()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = events.WaitOnce(int(fd), d.event) }); err != nil {
		return err
	}
	return failed
}

func (d *direction) waitingEvents() (*process.Events, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return nil, net.ErrClosed
	}
	if d.events == nil {
		e, err := process.NewEvents()
		if err != nil {
			return nil, err
		}
		e.SetDeadline(d.deadline)
		d.events = e
	}
	return d.events, nil
}

func (d *direction) setDeadline(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return net.ErrClosed
	}
	d.deadline = t
	if d.events != nil {
		d.events.SetDeadline(t)
	}
	return nil
}

func (d *direction) closed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ended
}

// close reports whether it was open.
func (d *direction) close() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return false
	}
	d.ended = true
	if d.events != nil {
		_ = d.events.Close() // wakes waiting calls
	}
	return true
}
