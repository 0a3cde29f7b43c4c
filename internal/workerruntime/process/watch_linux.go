//go:build linux && !portable

package process

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// watcher detects a process's end via a descriptor of the kernel.
type watcher struct {
	exitFD int // readable once the process has ended
}

// attributes returns the attributes of a new process. With the group, one signal reaches all its
// descendants in it. Pdeathsig ends the child if this process is killed: its job goes to another
// worker then, and must not continue here as well. (Go never ends the thread that started it.)
func attributes(pidfd *int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, PidFD: pidfd}
}

// watch makes the exit descriptor.
func (p *Process) watch(pidfd int) error {
	if pidfd < 0 || p.table.noPidfd {
		return p.watchWithoutPidfd(pidfd)
	}
	p.exitFD = pidfd
	return nil
}

// watchWithoutPidfd gives old kernels (before 5.4) and sandboxes without pidfds an exit descriptor:
// a pipe that a blocked thread closes at the process's end. The goroutine ends with the process,
// which Reap waits for.
func (p *Process) watchWithoutPidfd(pidfd int) error {
	if pidfd >= 0 {
		unix.Close(pidfd)
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return os.NewSyscallError("pipe2", err)
	}
	p.exitFD = fds[0]
	go func() {
		p.peek(0)
		unix.Close(fds[1])
	}()
	return nil
}

// peek waits for the end of the process and leaves it a zombie, so that its number and its group's
// number stay in use.
func (p *Process) peek(flags int) (exited bool) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, p.Pid, &info, unix.WEXITED|unix.WNOWAIT|flags, nil)
		if err == unix.EINTR {
			continue
		}
		// With WNOHANG a running child leaves info zeroed.
		return err != nil || info.Signo != 0
	}
}

// Exited reports whether the process has ended, without waiting.
func (p *Process) Exited() bool { return p.peek(unix.WNOHANG) }

// AwaitExit blocks a thread until the process has ended.
func (p *Process) AwaitExit() { p.peek(0) }
