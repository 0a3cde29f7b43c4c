package workerruntime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

// stoppableWithin is how long to wait for process 1. It has a handler within milliseconds unless
// the machine is very busy.
const stoppableWithin = 20 * time.Second

// caughtSignals matches the mask of the signals that a process has handlers for, in
// proc_pid_status(5).
var caughtSignals = regexp.MustCompile(`(?m)^SigCgt:\s*([0-9a-f]+)$`)

// awaitStoppable waits until the process with this status file catches SIGTERM. The kernel drops a
// signal that process 1 of a container has no handler for yet (see kill(2)), and the kubelet sends
// its signal only once. A pod deleted at the moment its worker starts would otherwise continue to
// take jobs, and be killed during one at the end of its grace period.
func awaitStoppable(ctx context.Context, statusFile string) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		status, err := os.ReadFile(statusFile)
		if err != nil {
			return err
		}
		match := caughtSignals.FindSubmatch(status)
		if match == nil {
			return fmt.Errorf("%s does not list the signals that are caught", statusFile)
		}
		mask, err := strconv.ParseUint(string(match[1]), 16, 64)
		if err != nil {
			return fmt.Errorf("%s: %w", statusFile, err)
		}
		if mask>>(syscall.SIGTERM-1)&1 == 1 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.New("the process doesn't catch SIGTERM")
		}
	}
}
