//go:build !linux

package process

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// endPoll is how often a child is checked if the kernel can't report its end.
const endPoll = 20 * time.Millisecond

// awaitEnd blocks until the child has ended, and leaves it a zombie, so that its number and its
// group's number stay in use. waitid would do this on Linux; here it also returns for a stopped
// process.
func awaitEnd(pid int) {
	queue, err := unix.Kqueue()
	if err == nil {
		defer unix.Close(queue)
		unix.CloseOnExec(queue)
		err = awaitEvent(queue, pid)
	}
	// ESRCH means that the child is a zombie, which can't be watched any more and which only we
	// reap. Any other error means that no descriptors are left.
	for err != nil && !errors.Is(err, unix.ESRCH) && !isZombie(pid) {
		time.Sleep(endPoll)
	}
}

func awaitEvent(queue, pid int) error {
	changes := make([]unix.Kevent_t, 1)
	unix.SetKevent(&changes[0], pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	changes[0].Fflags = unix.NOTE_EXIT
	events := make([]unix.Kevent_t, 1)
	for {
		n, err := unix.Kevent(queue, changes, events, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			changes = nil // it is registered now
		case err != nil:
			return err
		case n > 0 && events[0].Flags&unix.EV_ERROR != 0:
			return unix.Errno(events[0].Data)
		case n > 0:
			return nil
		}
	}
}
