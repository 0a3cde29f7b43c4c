package process

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// reaperEnv makes this binary the process in which the reaper is tested.
const reaperEnv = "PROCESS_TEST_REAPER"

func TestMain(m *testing.M) {
	if os.Getenv(reaperEnv) != "" {
		os.Exit(reaperMain())
	}
	goleak.VerifyTestMain(m)
}

func shell(script string, files ...uintptr) *Spec {
	return &Spec{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: os.Environ(), Files: files}
}

func start(t *testing.T, table *Table, script string) *Process {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	p, err := table.Start(shell(script, null.Fd(), null.Fd(), null.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestDropChildSignals: without the signal an ended process can still be waited for.
func TestDropChildSignals(t *testing.T) {
	t.Parallel()
	DropChildSignals()
	p := start(t, NewTable(), "exit 7")
	p.AwaitExit()
	if got := p.Reap(); got.Code != 7 {
		t.Errorf("the process ended with %v, want exit code 7", got)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	for name, table := range map[string]*Table{"pidfd": NewTable(), "no pidfd": NewTableWithoutPidfd()} {
		for script, want := range map[string]Status{
			"exit 0":        {},
			"exit 7":        {Code: 7},
			"kill -TERM $$": {Code: -1, Signal: syscall.SIGTERM},
		} {
			t.Run(name+" "+script, func(t *testing.T) {
				t.Parallel()
				p := start(t, table, script)
				waitReadable(t, p.ExitFD())
				if !p.Exited() {
					t.Error("readable, but not exited")
				}
				if got := p.Reap(); got != want {
					t.Errorf("%v, want %v", got, want)
				}
				p.Signal(syscall.SIGKILL) // must not reach any process
				if table.owns(p.Pid) {
					t.Error("still in the table")
				}
			})
		}
	}
}

func waitReadable(t *testing.T, fd int) {
	t.Helper()
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 60_000)
		if err == unix.EINTR {
			continue
		}
		if n != 1 || err != nil {
			t.Fatalf("not readable within a minute: %d, %v", n, err)
		}
		return
	}
}

func TestSignalReachesTheGroup(t *testing.T) {
	t.Parallel()
	p := start(t, NewTable(), "sleep 1000 & wait")
	if p.Exited() {
		t.Error("exited at once")
	}
	p.Signal(syscall.SIGKILL)
	if got := p.Reap(); got.Signal != syscall.SIGKILL {
		t.Errorf("%v", got)
	}
	// A member may be a zombie for a moment, until the process that adopts orphans here reaps it.
	deadline := time.Now().Add(time.Minute)
	for !errors.Is(unix.Kill(-p.Pid, 0), unix.ESRCH) && !onlyZombies(p.Pid) {
		if time.Now().After(deadline) {
			t.Fatal("the group lives on")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// onlyZombies reports whether no process of the group runs.
func onlyZombies(pgid int) bool {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		if f := strings.Fields(rest); f[2] == strconv.Itoa(pgid) && f[0] != "Z" {
			return false
		}
	}
	return true
}

func TestStartErrors(t *testing.T) {
	t.Parallel()
	table := NewTable()
	for _, s := range []*Spec{
		{Path: "/no/such/program", Args: []string{"x"}},
		{Path: "/bin/sh", Args: []string{"sh"}, Dir: "/no/such/directory"},
	} {
		if _, err := table.Start(s); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("error %v", err)
		}
	}
	if table.Len() != 0 {
		t.Error("a process that did not start is in the table")
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	e, err := NewEvents()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	if err := e.Add(fds[0]); err != nil {
		t.Fatal(err)
	}
	e.SetDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := e.Wait(nil); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	e.SetDeadline(time.Time{})
	go func() {
		time.Sleep(10 * time.Millisecond)
		unix.Close(fds[1])
	}()
	got, err := e.Wait(nil)
	if err != nil || len(got) != 1 || got[0] != fds[0] {
		t.Errorf("%v, %v", got, err)
	}
	e.Remove(fds[0])
	e.SetDeadline(time.Now().Add(10 * time.Millisecond))
	if got, err := e.Wait(nil); err == nil {
		t.Errorf("removed, but ready: %v", got)
	}
	if err := e.Add(-1); err == nil {
		t.Error("no error for a descriptor that is none")
	}
}
