//go:build linux && !portable

package process

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Seclude keeps what belongs to this process from the processes that it starts, which run as the
// same user: its environment and memory can't be read below /proc (unless the user is root), and
// descriptors that it inherited are not passed on. It is for the start, before there are
// descriptors for others.
func Seclude() error {
	var errs []error
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		errs = append(errs, fmt.Errorf("prctl PR_SET_DUMPABLE: %w", err))
	}
	// ENOSYS and EINVAL: kernels before 5.11.
	if err := unix.CloseRange(3, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC); err != nil && !errors.Is(err, unix.ENOSYS) &&
		!errors.Is(err, unix.EINVAL) {
		errs = append(errs, fmt.Errorf("close_range: %w", err))
	}
	return errors.Join(errs...)
}
