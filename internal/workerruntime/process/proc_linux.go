package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

const unreadRequest = unix.TIOCINQ

// Self returns the program of this process. os.Executable is not used: its name is gone if the file
// was replaced while the process runs, and this link still leads to the file.
func Self() string { return "/proc/self/exe" }

// Resident returns the resident memory of a process in bytes.
func Resident(pid int) (int64, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return 0, fmt.Errorf("/proc/%d/statm: %q has no second field", pid, b)
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err
}
