package workerruntime

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestAwaitStoppable(t *testing.T) {
	t.Parallel()
	deaf := exec.Command("sleep", "60") // has no handler at all
	if err := deaf.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = deaf.Process.Kill(); _ = deaf.Wait() })
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, tt := range map[string]struct{ file, want string }{
		"a Go program":     {"/proc/self/status", ""},
		"no handler":       {fmt.Sprintf("/proc/%d/status", deaf.Process.Pid), "doesn't catch SIGTERM"},
		"no such process":  {"/proc/0/status", "no such file"},
		"another file":     {write("other", "Name:\tx\n"), "does not list the signals that are caught"},
		"too large a mask": {write("large", "SigCgt:\t"+strings.Repeat("f", 17)+"\n"), "out of range"},
		"only SIGTERM":     {write("term", "SigIgn:\t0\nSigCgt:\t0000000000004000\n"), ""},
		"all but SIGTERM":  {write("rest", "SigCgt:\tffffffffffffbfff\n"), "doesn't catch SIGTERM"},
		"SIGTERM's left":   {write("left", "SigCgt:\t0000000000008000\n"), "doesn't catch SIGTERM"},
		"ignored, no more": {
			write("ign", "SigIgn:\t0000000000004000\nSigCgt:\t0000000000000000\n"), "doesn't catch SIGTERM",
		},
		"without a newline": {write("end", "SigCgt:\t0000000000004000"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			err := awaitStoppable(ctx, tt.file)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestAwaitStoppableWaits: awaitStoppable waits as long as needed: here, until a shell has set its
// trap.
func TestAwaitStoppableWaits(t *testing.T) {
	t.Parallel()
	late := exec.Command("bash", "-c", `read -r; trap 'exit 7' TERM; while :; do sleep 0.01; done`)
	in, err := late.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := late.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = late.Process.Kill() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- awaitStoppable(ctx, fmt.Sprintf("/proc/%d/status", late.Process.Pid)) }()
	select {
	case err := <-done:
		t.Fatalf("it didn't wait: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	if _, err := in.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := late.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := late.Wait(); late.ProcessState.ExitCode() != 7 {
		t.Errorf("the signal was not caught: %v", err)
	}
}

func TestAwaitStoppableUsage(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	if code := Main([]string{"await-stoppable", "1"}, &out, &errs); code != exitUsage ||
		!strings.Contains(errs.String(), "takes no arguments") {
		t.Errorf("exit code %d, said %q", code, errs.String())
	}
}
