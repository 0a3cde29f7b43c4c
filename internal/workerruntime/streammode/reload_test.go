package streammode

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
	"github.com/gearman-operator/gearman-operator/test/kit"
)

// TestReloadKeepsTheOldProcesses: a reload whose new processes don't come up keeps the old ones
// running. A later one that works replaces them all.
func TestReloadKeepsTheOldProcesses(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var log kit.Buffer
	opts := testOptions(t, &log)
	opts.Size = 3
	p := startPool(t, "dies without "+file, opts)
	alive := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.alive
	}
	kit.Eventually(t, "3 processes", func() bool { return alive() == 3 })
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	old := pidOf(t, p)
	p.Reload()
	kit.Eventually(
		t, "the new process fails", func() bool { return strings.Contains(log.String(), "the old ones are kept") },
	)
	for range 20 {
		if o := do(t.Context(), p, "pid", &recorder{}); o.Kind != job.Completed {
			t.Fatalf("outcome %+v", o)
		}
	}
	if n := alive(); n != 3 {
		t.Errorf("%d processes after a reload that failed, want the 3 old ones", n)
	}
	if n := strings.Count(log.String(), "the old ones are kept"); n != 1 {
		t.Errorf("%d attempts at a process that doesn't come up, want 1 for the whole reload", n)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.Reload()
	eventuallyNewPid(t, p, old)
	kit.Eventually(t, "all are new", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, c := range p.idle {
			if c.generation != p.gen {
				return false
			}
		}
		return p.alive == 3 && len(p.idle) == 3
	})
}

// TestReloadIsNewBeforeOld: there is a process for jobs at each moment of a reload, even with only
// one process.
func TestReloadIsNewBeforeOld(t *testing.T) {
	t.Parallel()
	p := startPool(t, "well", testOptions(t, io.Discard))
	old := pidOf(t, p)
	done := make(chan struct{})
	least := make(chan int)
	go func() {
		lowest := 1
		for {
			p.mu.Lock()
			lowest = min(lowest, p.alive)
			p.mu.Unlock()
			select {
			case <-done:
				least <- lowest
				return
			default:
			}
		}
	}()
	p.Reload()
	eventuallyNewPid(t, p, old)
	close(done)
	if n := <-least; n < 1 {
		t.Error("there was no process for a while")
	}
}

// TestNoProcessComesUp: with no process up and none that comes up, a job does not wait: it never
// ran.
func TestNoProcessComesUp(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := startPool(t, "dies without "+file, testOptions(t, io.Discard))
	if err := p.Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	do(t.Context(), p, "crash", &recorder{})
	o := do(t.Context(), p, "x", &recorder{})
	if o.Kind != job.Requeued || !o.NeverRan || !strings.Contains(o.Message, "exit code 255") {
		t.Errorf("outcome %+v", o)
	}
	if err := p.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "exit code 255") {
		t.Errorf("check: %v", err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, "the check passes again", func() bool { return p.Check(t.Context()) == nil })
	if o := do(t.Context(), p, "x", &recorder{}); o.Kind != job.Completed {
		t.Errorf("outcome %+v", o)
	}
}

// TestDoubledAnswer: a second answer to one job becomes neither the answer to the next one nor its
// failure.
func TestDoubledAnswer(t *testing.T) {
	t.Parallel()
	p := startPool(t, "well", testOptions(t, io.Discard))
	for range 5 {
		if o := do(t.Context(), p, "double", &recorder{}); o.Kind != job.Completed {
			t.Fatalf("outcome %+v", o)
		}
		kit.Eventually(t, "the second answer is there", func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.idle) == 1 && p.idle[0].hasSpoken()
		})
		if o := do(t.Context(), p, "innocent", &recorder{}); o.Kind != job.Completed || string(o.Result) != "INNOCENT" {
			t.Errorf("the next job: %+v", o)
		}
	}
}

func TestIDsCannotBeGuessed(t *testing.T) {
	t.Parallel()
	var c child
	seen := map[uint64]bool{}
	for range 1000 {
		last := c.id
		c.nextID()
		if seen[c.id] || c.id == 0 || c.id >= 1<<53 || c.id == last+1 {
			t.Fatalf("id %d after %d", c.id, last)
		}
		seen[c.id] = true
	}
}

// TestMaxMemory: a process that has grown beyond its limit is replaced after its job.
func TestMaxMemory(t *testing.T) {
	t.Parallel()
	opts := testOptions(t, io.Discard)
	opts.MaxMemory = 1 // anything is more
	p := startPool(t, "well", opts)
	old := pidOf(t, p)
	if now := pidOf(t, p); now == old {
		t.Error("the process was not replaced after its job")
	}
	opts = testOptions(t, io.Discard)
	opts.MaxMemory = 1 << 40
	p = startPool(t, "well", opts)
	if old := pidOf(t, p); old != pidOf(t, p) {
		t.Error("a small process was replaced")
	}
}
