//go:build !linux || portable

package process

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// watcher detects a process's end via a goroutine that waits for it.
type watcher struct {
	exitFD int           // readable once the process has ended
	ended  chan struct{} // closed once the process has ended; it is a zombie then
}

// attributes returns the attributes of a new process: a group of its own. There is no portable way
// to end a child with its parent.
func attributes(*int) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// watch makes the exit descriptor: a pipe into which a goroutine writes at the process's end. The
// goroutine ends with the process, which Reap waits for.
func (p *Process) watch(int) error {
	p.ended = make(chan struct{})
	r, w, err := Pipe()
	if err != nil {
		w = -1
	} else {
		p.exitFD = r
	}
	go func() {
		awaitEnd(p.Pid)
		close(p.ended)
		if w >= 0 {
			// The byte is seen at once. The pipe's end may come late: a process that is being
			// started holds a copy for a moment.
			_, _ = unix.Write(w, []byte{0})
			unix.Close(w)
		}
	}()
	return err
}

// Exited reports whether the process has ended, without waiting.
func (p *Process) Exited() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// AwaitExit blocks until the process has ended.
func (p *Process) AwaitExit() { <-p.ended }
