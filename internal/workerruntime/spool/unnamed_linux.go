//go:build linux && !portable

package spool

import (
	"os"

	"golang.org/x/sys/unix"
)

func unnamed(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_RDWR|unix.O_TMPFILE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, os.NewSyscallError("open", err)
	}
	return os.NewFile(uintptr(fd), dir+"/(spool)"), nil
}
