package process

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"

	"golang.org/x/sys/unix"
)

const stateZombie = 5 // SZOMB of sys/proc.h

// unreadRequest is FIONREAD of sys/filio.h.
const unreadRequest = 0x4004667f

func isZombie(pid int) bool {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	return err != nil || info.Proc.P_stat == stateZombie
}

// killMarkedOnce kills the processes of this user that have the mark in their environment. The
// system hides the environment of its own programs, so they are found only via their group.
func killMarkedOnce(mark string) (killed int) {
	all, err := unix.SysctlKinfoProcSlice("kern.proc.uid", os.Getuid())
	if err != nil {
		return 0
	}
	for i := range all {
		pid := int(all[i].Proc.P_pid)
		if pid == os.Getpid() || all[i].Proc.P_stat == stateZombie {
			continue
		}
		arguments, err := unix.SysctlRaw("kern.procargs2", pid)
		if err == nil && bytes.Contains(arguments, []byte("\x00"+mark+"\x00")) && unix.Kill(pid, unix.SIGKILL) == nil {
			killed++
		}
	}
	return killed
}

// Resident returns the resident memory of a process in bytes.
func Resident(pid int) (int64, error) {
	out, err := exec.Command("ps", "-o", "rss=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return 0, fmt.Errorf("ps: %w", err)
	}
	kib, err := strconv.ParseInt(string(bytes.TrimSpace(out)), 10, 64)
	return kib << 10, err
}

// Self returns the program of this process.
func Self() string {
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return path
}
