package process

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// mostDying is how long to wait for a killed process, in milliseconds: one that hangs in the kernel
// may take long.
const mostDying = 5000

func killMarkedOnce(mark string) (killed int) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err == nil && pid != os.Getpid() && killIfMarked(pid, mark) {
			killed++
		}
	}
	return killed
}

// killIfMarked holds the process with a descriptor, so that it can't hit another process if the
// number is reused.
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
	// The process is gone when its descriptor is readable.
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, mostDying)
		if !errors.Is(err, unix.EINTR) {
			return true
		}
	}
}
