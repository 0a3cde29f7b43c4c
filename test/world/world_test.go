package world

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// seedGlobalRand makes the top-level functions of math/rand replayable. It is nil in a binary that
// wasn't linked for that.
var seedGlobalRand func(seed uint64)

// TestSeed runs one seed, as the child process of TestWorld. WORLD_SEED names the seed, WORLD_DROP
// the faults to leave out (by index, separated by commas), and WORLD_TRACE a file for all events.
func TestSeed(t *testing.T) {
	seed, err := strconv.ParseUint(os.Getenv("WORLD_SEED"), 10, 64)
	if err != nil {
		t.Skip("WORLD_SEED names the seed to play")
	}
	if seedGlobalRand != nil {
		seedGlobalRand(seed)
	}
	plan := NewPlan(seed).Without(places(t, os.Getenv("WORLD_DROP")))
	done := watchdog()
	var r *Result
	synctest.Test(t, func(*testing.T) { r = Run(plan) })
	close(done)
	if name := os.Getenv("WORLD_TRACE"); name != "" {
		if err := os.WriteFile(name, []byte(r.Trace()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := json.Marshal(struct {
		*Result
		Timeline string `json:"timeline,omitempty"`
	}{r, r.Timeline()})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("SEED %s\n", raw)
}

func places(t *testing.T, list string) (out []int) {
	t.Helper()
	for part := range strings.SplitSeq(list, ",") {
		if part == "" {
			continue
		}
		i, err := strconv.Atoi(part)
		if err != nil {
			t.Fatalf("WORLD_DROP: %v", err)
		}
		out = append(out, i)
	}
	return out
}

// standsAfter is how long virtual time may stand still while the process does nothing. After that a
// goroutine of the bubble waits for something that virtual time doesn't wait for, such as a mutex
// that is held across a sleep. Even on a busy machine a process gets some processor time within it.
const standsAfter = time.Minute

// progress increases with each second of virtual time, and with each 20 ms of processor time.
func progress() int64 {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		panic(err) // the arguments are valid
	}
	return pulse.Load() + (use.Utime.Nano()+use.Stime.Nano())/(20*time.Millisecond).Nanoseconds()
}

// watchdog ends the process with all stacks when virtual time stands still. It runs outside the
// bubble.
func watchdog() (done chan struct{}) {
	done = make(chan struct{})
	tick := time.NewTicker(standsAfter)
	go func() {
		defer tick.Stop()
		if stands(tick.C, progress, done) {
			stacks := make([]byte, 1<<22)
			fmt.Printf("virtual time stands\n%s\n", stacks[:runtime.Stack(stacks, true)])
			os.Exit(3)
		}
	}()
	return done
}

// stands returns true once a tick finds the same time as the one before, or false when done is
// closed.
func stands(tick <-chan time.Time, now func() int64, done <-chan struct{}) bool {
	last := int64(-1)
	for {
		select {
		case <-done:
			return false
		case <-tick:
		}
		at := now()
		if at == last {
			return true
		}
		last = at
	}
}
