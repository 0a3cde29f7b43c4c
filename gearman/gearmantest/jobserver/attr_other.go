//go:build unix && !linux

package jobserver

import "syscall"

// diesWithTest is not possible here: a job server may outlive a test that is killed.
func diesWithTest() *syscall.SysProcAttr { return nil }
