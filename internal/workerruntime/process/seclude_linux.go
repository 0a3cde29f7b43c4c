//go:build linux && !portable

package process

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Seclude hides what belongs to this process from the processes that it starts, which run as the
// same user. They can't read its environment and memory below /proc (unless the user is root), and
// don't get the descriptors that it inherited. Call it at the start, before opening descriptors for
// other processes.
func Seclude() error {
	var errs []error
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		errs = append(errs, fmt.Errorf("prctl PR_SET_DUMPABLE: %w", err))
	}
	// Kernels before 5.11 return ENOSYS or EINVAL.
	if err := unix.CloseRange(3, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC); err != nil && !errors.Is(err, unix.ENOSYS) &&
		!errors.Is(err, unix.EINVAL) {
		errs = append(errs, fmt.Errorf("close_range: %w", err))
	}
	return errors.Join(errs...)
}
