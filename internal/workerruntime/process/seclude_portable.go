//go:build !linux || portable

package process

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// mostInherited is up to which number inherited descriptors are looked for.
const mostInherited = 256

// Seclude keeps inherited descriptors from the processes that this one starts. Its environment and
// memory can't be kept from them here, which the error says. It is for the start, before there are
// descriptors for others.
func Seclude() error {
	for fd := 3; fd < mostInherited; fd++ {
		unix.CloseOnExec(fd) // an error says that there is none
	}
	return fmt.Errorf("hide environment and memory: %w", errors.ErrUnsupported)
}
