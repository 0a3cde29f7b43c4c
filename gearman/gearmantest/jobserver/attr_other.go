//go:build unix && !linux

package jobserver

import "syscall"

// diesWithTest has no means here: a job server may outlive a test that is killed.
func diesWithTest() *syscall.SysProcAttr { return nil }
