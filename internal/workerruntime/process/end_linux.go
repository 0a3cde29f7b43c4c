//go:build linux && portable

package process

import (
	"errors"

	"golang.org/x/sys/unix"
)

// awaitEnd blocks until the child has ended, and leaves it a zombie, so that its number and its
// group's number stay in use.
func awaitEnd(pid int) {
	for {
		var info unix.Siginfo
		if err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT, nil); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
