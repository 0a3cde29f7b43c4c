//go:build linux && !portable

package process

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestReapOrphans: an orphan is reaped, while processes of the table are left to their owners. The
// test runs in a process of its own, since in this one the reaper would take the children of other
// tests.
func TestReapOrphans(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), reaperEnv+"=1", "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func reaperMain() int {
	say := func(v ...any) int {
		os.Stderr.WriteString("reaper: ")
		for _, x := range v {
			if e, ok := x.(error); ok {
				x = e.Error()
			}
			os.Stderr.WriteString(x.(string))
		}
		return 1
	}
	if err := AdoptOrphans(); err != nil {
		return say(err)
	}
	table := NewTable()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		table.ReapOrphans(ctx)
	}()
	for range 20 {
		// This process leaves a child of another session behind, and stays a zombie for a while
		// itself.
		p, err := table.Start(shell("setsid sleep 0.05 & exit 3", 0, 1, 2))
		if err != nil {
			return say(err)
		}
		p.AwaitExit()
		time.Sleep(5 * time.Millisecond)
		if s := p.Reap(); s.Code != 3 {
			return say("the owner got ", s.String())
		}
	}
	deadline := time.Now().Add(time.Minute)
	for {
		// There are no children at all: the orphans were adopted and reaped.
		err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if errors.Is(err, unix.ECHILD) {
			break
		}
		if time.Now().After(deadline) {
			return say("children are left after a minute")
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	<-done
	return 0
}
