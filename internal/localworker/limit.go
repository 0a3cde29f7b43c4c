package localworker

import (
	"fmt"
	"syscall"
)

// limitMemory limits the data of this process, and of each that it starts. The address space is not
// limited: many runtimes reserve far more of it than they use.
func limitMemory(bytes int64) error {
	if bytes <= 0 {
		return nil
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_DATA, &limit); err != nil {
		return fmt.Errorf("read RLIMIT_DATA: %w", err)
	}
	limit.Cur = min(uint64(bytes), limit.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &limit); err != nil {
		return fmt.Errorf("set RLIMIT_DATA: %w", err)
	}
	return nil
}
