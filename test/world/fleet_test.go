//go:build linux

package world

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/test/world/replay"
)

// seedLimit is how long one seed may take of real time. The median takes about half a second of one
// core.
const seedLimit = 10 * time.Minute

// fleet runs seeds, each in a process of its own.
type fleet struct {
	binary string
	// run runs a seed without some of its faults.
	run func(seed uint64, drop []int) (*played, error)
}

func fleetOf(binary string) *fleet {
	f := &fleet{binary: binary}
	f.run = f.play
	return f
}

// played is the result of a seed's process.
type played struct {
	Result
	Timeline string
	cpu      time.Duration
}

// newFleet builds the program that runs seeds. It is this package's test binary, linked so that the
// seed reaches math/rand.
func newFleet(t *testing.T) *fleet {
	t.Helper()
	binary := os.Getenv("WORLD_BINARY")
	if binary == "" {
		binary = filepath.Join(t.TempDir(), "world.test")
		build := exec.Command(
			"go", "test", "-c", "-tags", "worldreplay", "-ldflags=-checklinkname=0", "-o", binary, ".",
		)
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build the world: %v\n%s", err, out)
		}
	}
	return fleetOf(binary)
}

// play runs a seed without some of its faults.
func (f *fleet) play(seed uint64, drop []int) (*played, error) {
	var list []string
	for _, i := range drop {
		list = append(list, strconv.Itoa(i))
	}
	cmd := exec.Command(f.binary, "-test.run=^TestSeed$", "-test.timeout="+seedLimit.String())
	cmd.Env = append(os.Environ(), replay.Env...)
	// A garbage collection in the middle of a run changes the order in which goroutines run. A seed
	// needs some 200 MB without one.
	cmd.Env = append(
		cmd.Env, "GOGC=off", "GOMEMLIMIT=1GiB", fmt.Sprintf("WORLD_SEED=%d", seed),
		"WORLD_DROP="+strings.Join(list, ","),
	)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := replay.Start(cmd, seed); err != nil {
		return nil, err
	}
	failed := cmd.Wait()
	for line := range strings.Lines(out.String()) {
		if raw, ok := strings.CutPrefix(line, "SEED "); ok && failed == nil {
			p := &played{cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
			if err := json.Unmarshal([]byte(raw), p); err != nil {
				return nil, fmt.Errorf("seed %d: %w", seed, err)
			}
			return p, nil
		}
	}
	return nil, fmt.Errorf("seed %d: %w", seed, errors.Join(failed, errors.New(tail(out.String(), 20000))))
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// shrink drops a failing seed's faults one by one as long as it still fails three times out of
// three. It returns those that can be left out.
func (f *fleet) shrink(seed uint64, invariant string) (drop []int) {
	for i := range NewPlan(seed).Faults {
		try := append(slices.Clone(drop), i)
		if f.fails(seed, try, invariant) {
			drop = try
		}
	}
	return drop
}

func (f *fleet) fails(seed uint64, drop []int, invariant string) bool {
	for range 3 {
		p, err := f.run(seed, drop)
		if err != nil ||
			!slices.ContainsFunc(p.Violations, func(v Violation) bool { return v.Invariant == invariant }) {
			return false
		}
	}
	return true
}
