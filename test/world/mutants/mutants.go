// Package mutants holds known faults as patches of the product. The world has to find each of them,
// which tests its checks. A patch begins with three lines, "Fault: ...", "Kind: ..." (one of Kinds)
// and "Found by: INVARIANT".
package mutants

import (
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed *.patch
var files embed.FS

// Kinds are the kinds of faults; each has at least one mutant.
var Kinds = []string{
	"one costs more than itself", // a bad row, pool or job server
	"a black hole",               // what can't work continues to take work
	"growth without evidence",
	"the proof is not of the product", // a rule that is more lenient where it is measured
	"silence",                         // or a wrong report
	"two rules for one thing",
	"a promise with a hole",
}

// Mutant is one fault.
type Mutant struct {
	Name, Fault, Kind, FoundBy string
	Patch                      string
	Files                      []string // that the patch changes
}

// All returns the mutants by name.
func All() ([]Mutant, error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, err
	}
	var out []Mutant
	for _, e := range entries {
		raw, err := files.ReadFile(e.Name())
		if err != nil {
			return nil, err
		}
		m := Mutant{Name: strings.TrimSuffix(e.Name(), ".patch"), Patch: string(raw)}
		for line := range strings.Lines(m.Patch) {
			line = strings.TrimSpace(line)
			if v, ok := strings.CutPrefix(line, "Fault: "); ok {
				m.Fault = v
			} else if v, ok := strings.CutPrefix(line, "Kind: "); ok {
				m.Kind = v
			} else if v, ok := strings.CutPrefix(line, "Found by: "); ok {
				m.FoundBy = v
			} else if v, ok := strings.CutPrefix(line, "+++ b/"); ok {
				m.Files = append(m.Files, v)
			}
		}
		if m.Fault == "" || m.FoundBy == "" || len(m.Files) == 0 || !slices.Contains(Kinds, m.Kind) {
			return nil, fmt.Errorf(
				"%s: want the lines Fault:, Kind: (one of %q) and Found by:, and a patch", e.Name(), Kinds,
			)
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b Mutant) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// Overlay writes the changed files into dir, and there a list of them for the go command's -overlay,
// so that the tree at top stays as it is. It returns the list's path.
func (m *Mutant) Overlay(top, dir string) (string, error) {
	replace := map[string]string{}
	for _, name := range m.Files {
		raw, err := os.ReadFile(filepath.Join(top, name))
		if err != nil {
			return "", err
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(to, raw, 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(top, name)] = to
	}
	apply := exec.Command("git", "apply", "-C1", "-")
	apply.Dir, apply.Stdin = dir, strings.NewReader(m.Patch)
	apply.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
	if out, err := apply.CombinedOutput(); err != nil {
		return "", fmt.Errorf("apply: %w\n%s", err, out)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	list := filepath.Join(dir, "overlay.json")
	return list, os.WriteFile(list, overlay, 0o600)
}
