//go:build !linux

package localworker

import "syscall"

// childAttributes puts a program into a process group of its own.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
