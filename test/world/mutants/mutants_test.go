package mutants

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestApply: each patch still applies. If one doesn't, update it with the code, or delete it
// together with the behavior that it is about.
func TestApply(t *testing.T) {
	t.Parallel()
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range Kinds {
		if !slices.ContainsFunc(all, func(m Mutant) bool { return m.Kind == kind }) {
			t.Errorf("no mutant of the kind %q", kind)
		}
	}
	top, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		t.Skipf("not in a git checkout: %v", err)
	}
	for _, m := range all {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command("git", "apply", "--check", "-C1", "-")
			cmd.Dir, cmd.Stdin = strings.TrimSpace(string(top)), strings.NewReader(m.Patch)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
