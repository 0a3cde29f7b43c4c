//go:build !linux || portable

package process

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Pipe makes a pipe that no child inherits.
func Pipe() (r, w int, err error) {
	var fds [2]int
	// The lock keeps children from being started between the two steps.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := unix.Pipe(fds[:]); err != nil {
		return -1, -1, os.NewSyscallError("pipe", err)
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	return fds[0], fds[1], nil
}
