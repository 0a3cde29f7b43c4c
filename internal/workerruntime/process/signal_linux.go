//go:build linux && !portable

package process

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernelSigaction is struct sigaction of rt_sigaction(2) with room to spare. All zero, it means
// SIG_DFL on every architecture.
type kernelSigaction [8]uint64

// DropChildSignals makes the kernel drop SIGCHLD instead of waking a thread for it, if it can. The
// Go runtime handles the signal for os/signal.Notify, which nothing here uses: the end of a process
// is seen at its descriptor. SIG_IGN is not used, because the kernel would then reap the processes
// itself, and they would inherit it.
func DropChildSignals() {
	var standard kernelSigaction
	const setBytes = 8 // of a set of signals
	_, _, _ = unix.RawSyscall6(
		unix.SYS_RT_SIGACTION, uintptr(unix.SIGCHLD),
		uintptr(unsafe.Pointer(&standard)), //nolint:gosec // the call only reads it
		0, setBytes, 0, 0,
	)
}
