//go:build linux && !portable

package process

import (
	"os"

	"golang.org/x/sys/unix"
)

// Pipe makes a pipe that no child inherits.
func Pipe() (r, w int, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return -1, -1, os.NewSyscallError("pipe2", err)
	}
	return fds[0], fds[1], nil
}
