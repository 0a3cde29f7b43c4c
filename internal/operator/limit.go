package operator

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// cgroupLimit is where the memory limit of the container stands (cgroup v2).
const cgroupLimit = "/sys/fs/cgroup/memory.max"

// limitPercent is the part of the container's limit that Go's memory may take before garbage is
// collected all the time; the rest is for what Go doesn't count.
const limitPercent = 90

// memoryLimit returns the soft limit of Go's memory for a container whose limit stands in the file at
// path; 0 if it has none.
func memoryLimit(path string) int64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n <= 0 { // "max": no limit
		return 0
	}
	return n / 100 * limitPercent
}

// limitMemory sets the soft limit by the container's, unless the environment's GOMEMLIMIT has set one:
// rather than being killed for a burst of garbage, the operator collects it in time.
func limitMemory() {
	if n := memoryLimit(cgroupLimit); n > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(n)
	}
}
