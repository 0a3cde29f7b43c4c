package operator

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// cgroupLimits are the files with the memory limit of the container: of cgroup version 2, and of
// version 1.
var cgroupLimits = []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}

const (
	// limitPercent is the percentage of the container's limit that Go's memory may take before
	// garbage is collected all the time; the rest is for memory that Go doesn't count.
	limitPercent = 90
	// noLimit is more than any machine has: version 1 writes the largest multiple of a page if
	// there is no limit.
	noLimit = 1 << 60
)

// memoryLimit returns the soft limit of Go's memory for a container whose limit is in the first of
// the files that exists; 0 if it has none.
func memoryLimit(paths []string) int64 {
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err != nil || n <= 0 || n >= noLimit { // "max": no limit
			return 0
		}
		return n / 100 * limitPercent
	}
	return 0
}

// limitMemory sets the soft limit from the container's, unless GOMEMLIMIT has set one: the operator
// collects a burst of garbage in time rather than being killed.
func limitMemory() {
	if n := memoryLimit(cgroupLimits); n > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(n)
	}
}
