//go:build linux && !portable

package process

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Events waits for several descriptors at once from one goroutine, without a thread: an epoll set
// inside the Go runtime's own. It is made once and reused for each job.
type Events struct {
	file *os.File
	raw  interface {
		Read(func(uintptr) bool) error
	}
	fd  int
	buf [8]unix.EpollEvent
}

// NewEvents returns an empty set.
func NewEvents() (*Events, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	// os.NewFile puts only non-blocking descriptors into the runtime's poller.
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(fd), "epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("poll an epoll set: %w", err)
	}
	return &Events{file: file, raw: raw, fd: fd}, nil
}

// Add watches fd for data, hang-up or a process's end. A closed descriptor leaves the set unless a
// copy of it is open.
func (e *Events) Add(fd int) error {
	return os.NewSyscallError(
		"epoll_ctl", unix.EpollCtl(e.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}),
	)
}

// AddWriter watches fd for room to write, or for the end of its reader.
func (e *Events) AddWriter(fd int) error {
	ev := &unix.EpollEvent{Events: unix.EPOLLOUT, Fd: int32(fd)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(e.fd, unix.EPOLL_CTL_ADD, fd, ev))
}

// Remove stops watching fd.
func (e *Events) Remove(fd int) {
	_ = unix.EpollCtl(e.fd, unix.EPOLL_CTL_DEL, fd, nil)
}

// SetDeadline makes Wait return os.ErrDeadlineExceeded at t, or never if t is zero. It may be
// called while another goroutine waits.
func (e *Events) SetDeadline(t time.Time) { _ = e.file.SetReadDeadline(t) }

// Wait appends to ready the descriptors that can be read, at least one, or returns an error at the
// deadline.
func (e *Events) Wait(ready []int) ([]int, error) {
	var n int
	var failed error
	err := e.raw.Read(func(uintptr) bool {
		for {
			n, failed = unix.EpollWait(e.fd, e.buf[:], 0)
			if failed != unix.EINTR {
				return n > 0 || failed != nil
			}
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return ready, err
	}
	for _, ev := range e.buf[:n] {
		ready = append(ready, int(ev.Fd))
	}
	return ready, nil
}

// WaitOnce waits until fd is ready for events (such as unix.EPOLLIN) or the deadline passes.
// Between two calls fd is not watched, so its events wake nothing. A set that is used with WaitOnce
// watches nothing else.
func (e *Events) WaitOnce(fd int, events uint32) error {
	armed := false
	var failed error
	err := e.raw.Read(func(uintptr) bool {
		if !armed {
			armed = true
			ev := unix.EpollEvent{Events: events | unix.EPOLLONESHOT, Fd: int32(fd)}
			if failed = unix.EpollCtl(e.fd, unix.EPOLL_CTL_MOD, fd, &ev); failed == unix.ENOENT {
				failed = unix.EpollCtl(e.fd, unix.EPOLL_CTL_ADD, fd, &ev)
			}
			if failed != nil {
				return true
			}
		}
		for {
			var n int
			n, failed = unix.EpollWait(e.fd, e.buf[:1], 0)
			if failed != unix.EINTR {
				return n > 0 || failed != nil
			}
		}
	})
	if err != nil {
		return err
	}
	return os.NewSyscallError("epoll", failed)
}

// Close frees the set.
func (e *Events) Close() error { return e.file.Close() }
