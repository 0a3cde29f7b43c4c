//go:build linux

// Package replay starts a Go program whose goroutines take the same turns each time.
//
// The order of maps, the choice of select, and the results of math/rand follow from sixteen bytes
// that the kernel gives to a new process (AT_RANDOM). The package replaces them before the
// program's first instruction.
//
// The runtime's monitor (sysmon, a thread without goroutines) ends a goroutine's turn after 10 ms,
// and moves the goroutines to another thread if a system call takes long. Both depend on how busy
// the machine is, and each thread draws random numbers of its own. The package therefore stops the
// monitor before it begins. On one processor the program needs none: it collects garbage, runs
// timers and polls files without it.
//
// While the program's packages are initialized, the runtime moves its main goroutine between
// threads, and creates one more if the last isn't back in time. A map that is keyed by pointers is
// then ranged over in another order, since the thread's memory moves what comes after it. The
// package keeps all threads of a program on one processor of the machine, where the thread that
// wakes another goes on until it waits.
package replay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Env are the settings that make goroutines run in the same order: one processor, and no preemption
// by a signal.
var Env = []string{"GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1,randautoseed=0"}

// Start starts a command whose randomness follows from seed. The caller waits for it.
func Start(cmd *exec.Cmd, seed uint64) error {
	runtime.LockOSThread() // only the thread that traces a process may change it
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL}
	cpu, err := processors.take()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		processors.release(cpu)
		return err
	}
	pid := cmd.Process.Pid
	monitor, err := prepare(pid, cpu, seed)
	// The kernel reports the end of a process only after the end of its traced threads was read.
	go func() {
		if monitor > 0 {
			_, _ = syscall.Wait4(monitor, nil, syscall.WALL, nil)
		}
		processors.release(cpu)
	}()
	if err != nil {
		return errors.Join(fmt.Errorf("prepare process %d for replay: %w", pid, err), cmd.Process.Kill(), cmd.Wait())
	}
	return nil
}

// prepare waits until the process stops before its first instruction, gives it a processor,
// replaces its random bytes, and lets it run without its monitor. It returns the monitor's thread,
// which is the first that a Go program creates.
func prepare(pid, cpu int, seed uint64) (monitor int, err error) {
	if err := waitStopped(pid); err != nil {
		return 0, err
	}
	var only unix.CPUSet
	only.Set(cpu)
	if err := unix.SchedSetaffinity(pid, &only); err != nil {
		return 0, err
	}
	// A thread of this class that is woken lets the one that runs go on.
	batch := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_BATCH}
	if err := unix.SchedSetAttr(pid, &batch, 0); err != nil {
		return 0, err
	}
	if err := reseed(pid, seed); err != nil {
		return 0, err
	}
	if err := syscall.PtraceSetOptions(pid, syscall.PTRACE_O_TRACECLONE); err != nil {
		return 0, err
	}
	if err := syscall.PtraceCont(pid, 0); err != nil {
		return 0, err
	}
	if err := waitStopped(pid); err != nil { // in clone
		return 0, err
	}
	id, err := syscall.PtraceGetEventMsg(pid)
	if err != nil {
		return 0, err
	}
	monitor = int(id)
	if err := waitStopped(monitor); err != nil {
		return monitor, err
	}
	return monitor, syscall.PtraceDetach(pid)
}

// processors are the machine's processors, with the number of programs that each has.
var processors = &balance{programs: map[int]int{}}

type balance struct {
	mu       sync.Mutex
	programs map[int]int
}

// take returns the processor that has the fewest programs.
func (b *balance) take() (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return 0, err
	}
	best := -1
	for cpu, left := 0, all.Count(); left > 0; cpu++ {
		if !all.IsSet(cpu) {
			continue
		}
		left--
		if best < 0 || b.programs[cpu] < b.programs[best] {
			best = cpu
		}
	}
	b.programs[best]++
	return best, nil
}

func (b *balance) release(cpu int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.programs[cpu]--
}

// waitStopped waits until a traced thread stops.
func waitStopped(thread int) error {
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(thread, &status, syscall.WALL, nil); err != nil {
		return err
	}
	if !status.Stopped() {
		return fmt.Errorf("thread %d did not stop: status %#x", thread, uint32(status))
	}
	return nil
}

// reseed replaces the random bytes of a stopped process.
func reseed(pid int, seed uint64) error {
	address, err := randomAddress(pid)
	if err != nil {
		return err
	}
	random := binary.LittleEndian.AppendUint64(nil, seed*0x9e3779b97f4a7c15+1) // neither half may be zero
	random = binary.LittleEndian.AppendUint64(random, seed+0x6a09e667f3bcc909)
	_, err = syscall.PtracePokeData(pid, address, random)
	return err
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
