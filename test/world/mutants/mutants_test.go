package mutants

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestBuild checks that each patch still applies, and that what it changes builds. If it doesn't,
// update the patch with the code, or delete it together with the behavior that it is about.
func TestBuild(t *testing.T) {
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
			top := strings.TrimSpace(string(top))
			list, err := m.Overlay(top, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			args := []string{"build", "-overlay", list}
			for _, name := range m.Files {
				args = append(args, "./"+filepath.Dir(name))
			}
			build := exec.Command("go", args...)
			build.Dir = top
			if out, err := build.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
