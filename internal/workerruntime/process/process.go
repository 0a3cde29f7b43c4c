package process

import (
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Spec is a command ready to run.
type Spec struct {
	// Path is the program's file, already looked up.
	Path string
	// Args are the arguments, the name of the program first.
	Args []string
	// Env is the whole environment, as NAME=value.
	Env []string
	// Dir is the working directory; empty: the worker's own.
	Dir string
	// Files become the child's descriptors 0, 1, 2, ...
	Files []uintptr
}

// Status is how a process ended.
type Status struct {
	// Code is the exit code, or -1 when a signal ended the process.
	Code int
	// Signal is the signal that ended the process, or 0.
	Signal syscall.Signal
}

// String says it in words.
func (s Status) String() string {
	if s.Signal != 0 {
		return fmt.Sprintf("killed by signal %d (%v)", int(s.Signal), s.Signal)
	}
	return fmt.Sprintf("exit code %d", s.Code)
}

// Process is a running command, the leader of its own process group.
type Process struct {
	Pid int

	table  *Table
	exitFD int // readable once the process has ended

	mu     sync.Mutex
	reaped bool
}

// Start runs a command. The table knows it from its first moment, so that nobody reaps it in its owner's place.
func (t *Table) Start(s *Spec) (*Process, error) {
	pidfd := -1
	attr := &syscall.ProcAttr{
		Dir: s.Dir, Env: s.Env, Files: s.Files,
		// The group makes the whole family reachable by one signal; Pdeathsig ends the child should this process be killed: its
		// job goes to another worker then, and must not run on here as well. (Go never ends the thread that started it.)
		Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, PidFD: &pidfd},
	}
	t.starting.RLock()
	pid, err := syscall.ForkExec(s.Path, s.Args, attr)
	if err == nil {
		t.add(pid)
	}
	t.starting.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Path, err)
	}
	p := &Process{Pid: pid, table: t, exitFD: pidfd}
	if pidfd < 0 || t.noPidfd {
		if err := p.watchWithoutPidfd(pidfd); err != nil {
			p.Signal(syscall.SIGKILL)
			p.Reap()
			return nil, fmt.Errorf("start %s: %w", s.Path, err)
		}
	}
	return p, nil
}

// watchWithoutPidfd gives old kernels (before 5.4) and sandboxes without pidfds an exit descriptor: a pipe that a blocked thread
// closes at the process's end. The goroutine ends with the process, which Reap waits for.
func (p *Process) watchWithoutPidfd(pidfd int) error {
	if pidfd >= 0 {
		unix.Close(pidfd)
	}
	p.exitFD = -1
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

// ExitFD is a descriptor that polls readable once the process has ended. It belongs to the process and is closed by Reap.
func (p *Process) ExitFD() int { return p.exitFD }

// peek waits for the end of the process and leaves it a zombie, so that its number and its group's stay taken.
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

// Exited tells whether the process has ended, without waiting.
func (p *Process) Exited() bool { return p.peek(unix.WNOHANG) }

// AwaitExit blocks a thread until the process has ended.
func (p *Process) AwaitExit() { p.peek(0) }

// Signal sends sig to the whole process group. It does nothing after Reap.
func (p *Process) Signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		// The only failure is that the group is gone, which is what a signal is for.
		_ = unix.Kill(-p.Pid, sig)
	}
}

// Reap waits for the process's end, kills what is left of its group, and takes its status. The group is killed while its leader is
// still a zombie: until then nobody else can have its number. Call it once.
func (p *Process) Reap() Status {
	p.peek(0)
	p.mu.Lock()
	_ = unix.Kill(-p.Pid, unix.SIGKILL)
	var ws unix.WaitStatus
	_, err := wait4(p.Pid, &ws, 0)
	p.reaped = true
	p.mu.Unlock()
	if p.exitFD >= 0 {
		unix.Close(p.exitFD)
		p.exitFD = -1
	}
	p.table.remove(p.Pid)
	switch {
	case err != nil:
		return Status{Code: -1}
	case ws.Signaled():
		return Status{Code: -1, Signal: ws.Signal()}
	}
	return Status{Code: ws.ExitStatus()}
}

func wait4(pid int, ws *unix.WaitStatus, options int) (int, error) {
	for {
		got, err := unix.Wait4(pid, ws, options, nil)
		if err != unix.EINTR {
			return got, err
		}
	}
}
