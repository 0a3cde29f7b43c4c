package jobserver

import "syscall"

// diesWithTest makes the kernel end the process together with this one, so that it doesn't outlive
// a test that is killed.
func diesWithTest() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
