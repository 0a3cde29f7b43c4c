package localworker

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// runCommand runs a program that speaks Gearman itself. It is ready as soon as it runs, like a
// container without a readiness probe. SIGTERM is sent to all of its processes; those that remain
// after the drain, or at the second signal, are killed.
func runCommand(args []string, drain time.Duration, signals <-chan os.Signal, ready func(), errs io.Writer) int {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = errs, errs
	cmd.SysProcAttr = childAttributes()
	// Files that its children hold open do not keep it alive.
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(errs, "gearmanctl worker:", err)
		return exitFailed
	}
	ready()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	group := -cmd.Process.Pid
	var overdue <-chan time.Time
	for stops := 0; ; {
		select {
		case err := <-ended:
			// It may have left children behind.
			_ = syscall.Kill(group, syscall.SIGKILL)
			return exitCode(err)
		case s := <-signals:
			if s == syscall.SIGHUP {
				_ = syscall.Kill(group, syscall.SIGHUP)
				continue
			}
			if stops++; stops > 1 {
				_ = syscall.Kill(group, syscall.SIGKILL)
				continue
			}
			_ = syscall.Kill(group, syscall.SIGTERM)
			overdue = time.After(drain)
		case <-overdue:
			fmt.Fprintln(errs, "gearmanctl worker: the program did not end in time and is killed")
			_ = syscall.Kill(group, syscall.SIGKILL)
		}
	}
}

func exitCode(err error) int {
	failed, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return 0
	case ok && failed.Exited():
		return failed.ExitCode()
	default:
		return exitFailed
	}
}
