// Package mutants holds known faults as patches of the product. The world has to find each of them: that checks the checks. A patch begins with two lines, "Fault: ..." and
// "Found by: INVARIANT".
package mutants

import (
	"cmp"
	"embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed *.patch
var files embed.FS

// Mutant is one fault.
type Mutant struct {
	Name, Fault, FoundBy string
	Patch                string
	Files                []string // that the patch changes
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
			} else if v, ok := strings.CutPrefix(line, "Found by: "); ok {
				m.FoundBy = v
			} else if v, ok := strings.CutPrefix(line, "+++ b/"); ok {
				m.Files = append(m.Files, v)
			}
		}
		if m.Fault == "" || m.FoundBy == "" || len(m.Files) == 0 {
			return nil, fmt.Errorf("%s: want the lines Fault: and Found by:, and a patch", e.Name())
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b Mutant) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}
