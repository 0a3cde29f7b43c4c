package process

import (
	"crypto/rand"
	"strconv"
	"sync/atomic"
)

// runVariable marks the processes of one run: whatever a process starts inherits it, in whichever
// process group it is.
const runVariable = "GEARMAN_RUN="

var (
	runPrefix = rand.Text()
	lastRun   atomic.Uint64
)

// NewMark is a variable for the environment of a new process, by which KillMarked finds what
// descends from it.
func NewMark() string { return runVariable + runPrefix + "-" + strconv.FormatUint(lastRun.Add(1), 10) }

// mostRounds bounds how often KillMarked looks for processes that were started while it looked.
const mostRounds = 5

// KillMarked kills all processes that have the mark in their environment: those that left the
// process group of what was ended, as timeout and setsid do. A process that has cleared its
// environment is not found. It looks through all processes of the machine or container, so it is
// for what seldom happens.
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
