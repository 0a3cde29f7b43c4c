//go:build !linux || portable

package process

import (
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Events waits for several descriptors at once, with poll(2), which blocks a thread. It is made
// once and reused for each job. One goroutine may wait at a time; the other methods may be called
// meanwhile.
type Events struct {
	wakeR, wakeW int // a pipe that ends a poll when something has changed

	mu       sync.Mutex
	watched  []unix.PollFd
	deadline time.Time
	waiting  bool
	closed   bool

	polled []unix.PollFd // what the current poll watches
}

// NewEvents returns an empty set.
func NewEvents() (*Events, error) {
	r, w, err := Pipe()
	if err != nil {
		return nil, err
	}
	for _, fd := range []int{r, w} {
		if err := unix.SetNonblock(fd, true); err != nil {
			unix.Close(r)
			unix.Close(w)
			return nil, os.NewSyscallError("fcntl", err)
		}
	}
	return &Events{wakeR: r, wakeW: w}, nil
}

// Add watches fd for data, hang-up or a process's end. Remove it before it is closed.
func (e *Events) Add(fd int) error { return e.add(fd, unix.POLLIN) }

// AddWriter watches fd for room to write, or for the end of its reader.
func (e *Events) AddWriter(fd int) error { return e.add(fd, unix.POLLOUT) }

func (e *Events) add(fd int, events int16) error {
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.watched = append(e.watched, unix.PollFd{Fd: int32(fd), Events: events})
	e.wake()
	return nil
}

// Remove stops watching fd.
func (e *Events) Remove(fd int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.watched = slices.DeleteFunc(e.watched, func(w unix.PollFd) bool { return w.Fd == int32(fd) })
	e.wake()
}

// SetDeadline makes Wait return os.ErrDeadlineExceeded at t, or never if t is zero.
func (e *Events) SetDeadline(t time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.deadline = t
	e.wake()
}

// wake ends the current poll; the lock is held. A full pipe wakes it as well.
func (e *Events) wake() {
	if e.waiting {
		_, _ = unix.Write(e.wakeW, []byte{0})
	}
}

// Wait appends to ready the descriptors that can be read or written, at least one, or returns an
// error at the deadline.
func (e *Events) Wait(ready []int) ([]int, error) {
	for {
		timeout, err := e.begin()
		if err != nil {
			return ready, err
		}
		_, err = unix.Poll(e.polled, timeout)
		before := len(ready)
		ready = e.finish(ready)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return ready, os.NewSyscallError("poll", err)
		}
		if len(ready) > before {
			return ready, nil
		}
	}
}

// begin returns how many milliseconds to poll for, and sets what to poll.
func (e *Events) begin() (timeout int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return 0, os.ErrClosed
	}
	timeout = -1
	if !e.deadline.IsZero() {
		left := time.Until(e.deadline)
		if left <= 0 {
			return 0, os.ErrDeadlineExceeded
		}
		timeout = int(min(left, time.Hour)/time.Millisecond) + 1
	}
	e.waiting = true
	e.polled = append(e.polled[:0], unix.PollFd{Fd: int32(e.wakeR), Events: unix.POLLIN})
	e.polled = append(e.polled, e.watched...)
	return timeout, nil
}

// finish appends what is ready and still watched.
func (e *Events) finish(ready []int) []int {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiting = false
	if e.closed {
		e.free()
		return ready
	}
	if e.polled[0].Revents != 0 {
		var bin [64]byte
		_, _ = unix.Read(e.wakeR, bin[:]) // bytes that are left wake the next poll once more, for nothing
	}
	for _, p := range e.polled[1:] {
		isWatched := func(w unix.PollFd) bool { return w.Fd == p.Fd }
		if p.Revents != 0 && slices.ContainsFunc(e.watched, isWatched) {
			ready = append(ready, int(p.Fd))
		}
	}
	return ready
}

// Close frees the set, and wakes a waiting call.
func (e *Events) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return os.ErrClosed
	}
	e.wake()
	e.closed = true
	if !e.waiting {
		e.free()
	}
	return nil
}

func (e *Events) free() {
	unix.Close(e.wakeR)
	unix.Close(e.wakeW)
}
