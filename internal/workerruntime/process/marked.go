package process

import (
	"crypto/rand"
	"strconv"
	"sync/atomic"
)

// runVariable marks the processes of one run: all descendants of a process inherit it, in any
// process group.
const runVariable = "GEARMAN_RUN="

var (
	runPrefix = rand.Text()
	lastRun   atomic.Uint64
)

// NewMark returns a variable for the environment of a new process, which lets KillMarked find its
// descendants.
func NewMark() string { return runVariable + runPrefix + "-" + strconv.FormatUint(lastRun.Add(1), 10) }

// mostRounds bounds how often KillMarked repeats its search for processes that were started
// meanwhile.
const mostRounds = 5

// KillMarked kills all processes that have the mark in their environment. It is for those that left
// the process group of the ended process, as with timeout and setsid. A process that has cleared
// its environment is not found. The search covers all processes of the machine or container, so use
// it only for rare events.
func KillMarked(mark string) (killed int) {
	for range mostRounds {
		found := killMarkedOnce(mark)
		if found == 0 {
			break
		}
		killed += found
	}
	return killed
}
