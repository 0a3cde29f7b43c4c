//go:build linux

package world

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gearman-operator/gearman-operator/test/world/mutants"
)

// mutantSeeds is the number of seeds within which a mutant must be found.
const mutantSeeds = 200

// TestMutants builds the product with each known fault and runs seeds until the invariant that must
// find it reports a violation, on a seed that the product itself passes. make world-mutants runs
// it; WORLD_MUTANT names one of them.
func TestMutants(t *testing.T) {
	only := os.Getenv("WORLD_MUTANT")
	if only == "" {
		t.Skip("make world-mutants runs it")
	}
	all, err := mutants.All()
	if err != nil {
		t.Fatal(err)
	}
	product := newFleet(t)
	tried, found := 0, 0
	fmt.Printf("%-26s %-34s %-16s %5s  %s\n", "mutant", "kind", "found by", "seed", "fault")
	for _, m := range all {
		if only != "all" && only != m.Name {
			continue
		}
		tried++
		seed, err := find(t, product, &m)
		if err != nil {
			fmt.Printf("%-26s %-34s %-16s %5s  %s\n", m.Name, m.Kind, "NOT FOUND", "-", m.Fault)
			t.Errorf("%s: %v", m.Name, err)
			continue
		}
		found++
		fmt.Printf("%-26s %-34s %-16s %5d  %s\n", m.Name, m.Kind, m.FoundBy, seed, m.Fault)
	}
	fmt.Printf("RESULT {\"mutants\":%d,\"mutants_found\":%d}\n", tried, found)
}

// find runs seeds with a mutant, several at a time. It returns the first that shows it.
func find(t *testing.T, product *fleet, m *mutants.Mutant) (uint64, error) {
	t.Helper()
	mutant, err := mutate(t, m)
	if err != nil {
		return 0, err
	}
	for seed := uint64(1); seed <= mutantSeeds; seed += mutantWorkers {
		var shown [mutantWorkers]bool
		var errs [mutantWorkers]error
		var wg sync.WaitGroup
		for i := range shown {
			wg.Go(func() { shown[i], errs[i] = shows(product, mutant, seed+uint64(i), m.FoundBy) })
		}
		wg.Wait()
		for i := range shown {
			if errs[i] != nil {
				return 0, errs[i]
			}
			if shown[i] {
				return seed + uint64(i), nil
			}
		}
	}
	return 0, fmt.Errorf("%s did not find it within %d seeds: %s", m.FoundBy, mutantSeeds, m.Fault)
}

// mutantWorkers is how many seeds run at a time.
const mutantWorkers = 2

// shows reports whether an invariant fails on a seed with the mutant and holds without it.
// Otherwise the failure proves nothing.
func shows(product, mutant *fleet, seed uint64, invariant string) (bool, error) {
	violates := func(f *fleet) (bool, error) {
		p, err := f.play(seed, nil)
		if err != nil {
			return false, err
		}
		return slices.ContainsFunc(p.Violations, func(v Violation) bool { return v.Invariant == invariant }), nil
	}
	if bad, err := violates(mutant); err != nil || !bad {
		return false, err
	}
	bad, err := violates(product)
	return !bad, err
}

// mutate builds the world with a patch, via an overlay, so that the tree stays unchanged.
func mutate(t *testing.T, m *mutants.Mutant) (*fleet, error) {
	t.Helper()
	out, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return nil, err
	}
	dir := t.TempDir()
	list, err := m.Overlay(strings.TrimSpace(string(out)), dir)
	if err != nil {
		return nil, err
	}
	binary := filepath.Join(dir, "mutant.test")
	build := exec.Command(
		"go", "test", "-c", "-overlay", list, "-tags", "worldreplay", "-ldflags=-checklinkname=0", "-o", binary, ".",
	)
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build: %w\n%s", err, out)
	}
	return fleetOf(binary), nil
}
