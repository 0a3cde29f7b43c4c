package workerruntime

import (
	"context"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A job of exec mode is mostly system calls of its slot's thread: it makes pipes, starts a process, waits for its end. The Go runtime sees such a thread
// as busy and looks into its poller meanwhile only where another thread happens to; a slot that waits there for its job server's answer
// would wait for the other slots' jobs. So slots of exec mode wait by threads of their own for whatever comes soon.

// mostThreads is up to how many slots have room in the scheduler without taking it from each other; each place takes up to 150 KiB.
const mostThreads = 16

// roomForThreads lets the threads of all slots be in system calls at once. A thread in a system call keeps its place, of GOMAXPROCS, for up to 10 ms;
// where none is left over, the runtime's monitor wakes every 20 us to take places away, which costs more than a small job itself.
func roomForThreads(concurrency int) {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), min(concurrency, mostThreads)+2))
	}
}

// threadConn is a connection whose reads block a thread for a short while before they wait in the runtime's poller.
type threadConn struct {
	*net.TCPConn
	raw syscall.RawConn
}

// readBriefly is for how long a read blocks a thread. A job server that has a job answers within it.
const readBriefly = 10 * time.Millisecond

// dialThread opens a threadConn.
func dialThread(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}}
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c, nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		_ = c.Close() // err says why
		return nil, err
	}
	return &threadConn{TCPConn: tcp, raw: raw}, nil
}

// Read reads what there is, once there is something.
func (c *threadConn) Read(p []byte) (n int, err error) {
	var failed error
	waited := false
	err = c.raw.Read(func(fd uintptr) bool {
		for {
			n, failed = unix.Read(int(fd), p)
			switch {
			case failed == unix.EINTR:
			case failed == unix.EAGAIN && !waited:
				waited = true
				fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
				_, _ = unix.Poll(fds, int(readBriefly/time.Millisecond)) // the next read tells what came of it
			default:
				return failed != unix.EAGAIN
			}
		}
	})
	switch {
	case err != nil:
		return 0, err
	case failed != nil:
		return 0, os.NewSyscallError("read", failed)
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}
