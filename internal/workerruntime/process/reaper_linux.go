//go:build linux && !portable

package process

import (
	"context"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// AdoptOrphans makes this process the parent of its descendants' orphans, so that none of them
// stays a zombie or goes unnoticed when the worker is not process 1 itself.
func AdoptOrphans() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become subreaper: %w", err)
	}
	return nil
}

// reapEvery is the longest time that an orphan stays a zombie. SIGCHLD would report it at once, but
// it comes for each job's process as well, and handling it costs a tenth of what a small job costs.
const reapEvery = time.Second

// ReapOrphans reaps every ended child that is not in the table, until ctx is done. In a process
// that also uses os/exec it would reap those children too; the worker does not use os/exec.
func (t *Table) ReapOrphans(ctx context.Context) {
	tick := time.NewTicker(reapEvery)
	defer tick.Stop()
	for {
		t.reapAll()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// reapAll reaps orphans until there are none, or until the kernel returns a child that has an owner
// here: by the next round its owner has reaped it.
func (t *Table) reapAll() {
	for {
		pid := endedChild()
		if pid == 0 || t.owns(pid) {
			return
		}
		t.starting.Lock()
		if !t.owns(pid) {
			var ws unix.WaitStatus
			_, _ = wait4(pid, &ws, unix.WNOHANG)
		}
		t.starting.Unlock()
	}
}

// endedChild returns the pid of some child that has ended and was not yet reaped, or 0.
func endedChild() int {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0
		}
		// si_pid is the first field of the union behind the three ints that unix.Siginfo names. The
		// union is aligned to a word.
		offset := 3*4 + unsafe.Sizeof(uintptr(0)) - 4
		return int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), offset))) //nolint:gosec // within info
	}
}
