//go:build !linux || portable

package process

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// mostInherited is the number below which inherited descriptors are searched for.
const mostInherited = 256

// Seclude hides inherited descriptors from the processes that this one starts. It can't hide its
// environment and memory from them here, and returns an error that says so. Call it at the start,
// before opening descriptors for other processes.
func Seclude() error {
	for fd := 3; fd < mostInherited; fd++ {
		unix.CloseOnExec(fd) // an error means that there is none
	}
	return fmt.Errorf("hide environment and memory: %w", errors.ErrUnsupported)
}
