package jobserver

import "syscall"

// diesWithTest makes the kernel end the process with this one: nothing is left if the test is
// killed.
func diesWithTest() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
