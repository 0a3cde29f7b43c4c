package process

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Events waits for several descriptors at once from one goroutine, without a thread: an epoll set inside the Go runtime's own. It is
// made once and used for job after job.
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

// Add watches fd for data, hang-up or a process's end. A closed descriptor leaves the set by itself unless a copy of it is open.
func (e *Events) Add(fd int) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(e.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}))
}

// Remove stops watching fd.
func (e *Events) Remove(fd int) {
	_ = unix.EpollCtl(e.fd, unix.EPOLL_CTL_DEL, fd, nil)
}

// SetDeadline makes Wait return os.ErrDeadlineExceeded at t; the zero time: never. It may be called while another goroutine waits.
func (e *Events) SetDeadline(t time.Time) { _ = e.file.SetReadDeadline(t) }

// Wait appends to ready the descriptors that can be read, at least one, or returns an error at the deadline.
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

// Close frees the set.
func (e *Events) Close() error { return e.file.Close() }
