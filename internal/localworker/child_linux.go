package localworker

import "syscall"

// childAttributes puts a program into a process group of its own, and has it stopped if this
// process is killed.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
