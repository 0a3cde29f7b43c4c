package process

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// runVariable marks the processes of one run: whatever a process starts inherits it, in whichever process group it is.
const runVariable = "GEARMAN_RUN="

var (
	runPrefix = rand.Text()
	lastRun   atomic.Uint64
)

// NewMark is a variable for the environment of a new process, by which KillMarked finds what descends from it.
func NewMark() string { return runVariable + runPrefix + "-" + strconv.FormatUint(lastRun.Add(1), 10) }

// mostDying is for how long a killed process is waited for, in milliseconds: one that hangs in the kernel may take long.
const mostDying = 5000

// mostRounds bounds how often KillMarked looks for processes that were started while it looked.
const mostRounds = 5

// KillMarked kills all processes that have the mark in their environment: those that left the process group of what was
// ended, as timeout and setsid do. A process that has cleared its environment is not found. It looks through all processes
// of the machine or container, so it is for what seldom happens.
func KillMarked(mark string) (killed int) {
	for range mostRounds {
		found := 0
		dirs, _ := filepath.Glob("/proc/[0-9]*")
		for _, dir := range dirs {
			pid, err := strconv.Atoi(filepath.Base(dir))
			if err != nil || pid == os.Getpid() || !killIfMarked(pid, mark) {
				continue
			}
			found++
		}
		if found == 0 {
			break
		}
		killed += found
	}
	return killed
}

// killIfMarked holds the process by a descriptor, so that nobody else is meant when its number is used again.
func killIfMarked(pid int, mark string) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil || !bytes.Contains(append([]byte{0}, env...), []byte("\x00"+mark+"\x00")) {
		return false // a zombie has no environment
	}
	if unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) != nil {
		return false
	}
	// It is gone when its descriptor can be read.
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, mostDying)
		if !errors.Is(err, unix.EINTR) {
			return true
		}
	}
}
