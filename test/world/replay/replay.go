//go:build linux

// Package replay starts a Go program whose runtime draws the same random numbers each time. The
// order of maps, the choice of select, and the results of math/rand all follow from sixteen bytes
// that the kernel gives to a new process (AT_RANDOM). The package replaces them before the
// program's first instruction.
package replay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// Env are the settings that make goroutines run in the same order: one processor, and no preemption
// by a clock.
var Env = []string{"GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1,randautoseed=0"}

// Start starts a command whose randomness follows from seed. The caller waits for it.
func Start(cmd *exec.Cmd, seed uint64) error {
	runtime.LockOSThread() // only the thread that traces a process may change it
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	pid := cmd.Process.Pid
	if err := reseed(pid, seed); err != nil {
		return errors.Join(
			fmt.Errorf("replace the random bytes of process %d: %w", pid, err), cmd.Process.Kill(), cmd.Wait(),
		)
	}
	return nil
}

// reseed waits until the process stops before its first instruction, replaces its random bytes, and
// lets it continue.
func reseed(pid int, seed uint64) error {
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		return err
	}
	if !status.Stopped() {
		return fmt.Errorf("it did not stop: status %#x", uint32(status))
	}
	address, err := randomAddress(pid)
	if err != nil {
		return err
	}
	random := binary.LittleEndian.AppendUint64(nil, seed*0x9e3779b97f4a7c15+1) // neither half may be zero
	random = binary.LittleEndian.AppendUint64(random, seed+0x6a09e667f3bcc909)
	if _, err := syscall.PtracePokeData(pid, address, random); err != nil {
		return err
	}
	return syscall.PtraceDetach(pid)
}

// randomAddress returns where the kernel put the random bytes: an entry of the process's auxiliary
// vector.
func randomAddress(pid int) (uintptr, error) {
	const atRandom = 25
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/auxv", pid))
	if err != nil {
		return 0, err
	}
	for ; len(raw) >= 16; raw = raw[16:] {
		if binary.LittleEndian.Uint64(raw) == atRandom {
			return uintptr(binary.LittleEndian.Uint64(raw[8:])), nil
		}
	}
	return 0, errors.New("no AT_RANDOM in its auxiliary vector")
}
