package process

import (
	"fmt"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Spec is a command that is ready to run.
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

// String returns the status in words.
func (s Status) String() string {
	if s.Signal != 0 {
		return fmt.Sprintf("killed by signal %d (%v)", int(s.Signal), s.Signal)
	}
	return fmt.Sprintf("exit code %d", s.Code)
}

// Process is a running command, the leader of its own process group.
type Process struct {
	Pid int

	table *Table
	watcher

	mu     sync.Mutex
	reaped bool
}

// Start runs a command. The table knows the process from its first moment, so that only its owner
// reaps it.
func (t *Table) Start(s *Spec) (*Process, error) {
	pidfd := -1
	attr := &syscall.ProcAttr{Dir: s.Dir, Env: s.Env, Files: s.Files, Sys: attributes(&pidfd)}
	t.starting.RLock()
	pid, err := syscall.ForkExec(s.Path, s.Args, attr)
	if err == nil {
		t.add(pid)
	}
	t.starting.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Path, err)
	}
	p := &Process{Pid: pid, table: t, watcher: watcher{exitFD: -1}}
	if err := p.watch(pidfd); err != nil {
		p.Signal(syscall.SIGKILL)
		p.Reap()
		return nil, fmt.Errorf("start %s: %w", s.Path, err)
	}
	return p, nil
}

// ExitFD is a descriptor that polls readable once the process has ended. It belongs to the process;
// Reap closes it.
func (p *Process) ExitFD() int { return p.exitFD }

// Signal sends sig to the whole process group. It does nothing after Reap.
func (p *Process) Signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		// The only error is that the group is gone, which is what signals are sent for.
		_ = unix.Kill(-p.Pid, sig)
	}
}

// Reap waits for the process's end, kills what is left of its group, and returns its status. The
// group is killed while its leader is still a zombie: until then no other group can have its
// number. Call Reap once.
func (p *Process) Reap() Status {
	p.AwaitExit()
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
