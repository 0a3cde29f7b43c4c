package docs

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/gearman-operator/gearman-operator/"

var (
	architectureRow = regexp.MustCompile("^\\| (`.*?) \\| .* \\| (.*) \\|$")
	inBackticks     = regexp.MustCompile("`([^`]+)`")
)

// TestArchitectureImports compares the table of packages with the code: what each imports of this
// repository, and that no package is missing.
func TestArchitectureImports(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	imports := map[string][]string{} // of this repository, by package
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		name := strings.TrimPrefix(words[0], module)
		imports[name] = []string{}
		for _, w := range words[1:] {
			if own, ok := strings.CutPrefix(w, module); ok {
				imports[name] = append(imports[name], own)
			}
		}
	}
	if len(imports) < 50 {
		t.Fatalf("go list shows %d packages only", len(imports))
	}
	page := read(t, "docs/architecture.md")
	rows := 0
	var all []string
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, "```") {
			all = append(all, names(line)...)
		}
		row := architectureRow.FindStringSubmatch(strings.TrimSpace(line))
		if row == nil {
			continue
		}
		packages := names(row[1])
		if slices.ContainsFunc(packages, func(p string) bool { return imports[p] == nil }) ||
			strings.HasPrefix(row[1], "`cmd/") {
			continue // not the table of packages; or a command, which imports what it runs
		}
		rows++
		listed := names(row[2])
		var used []string
		for _, p := range packages {
			for _, own := range imports[p] {
				if !slices.Contains(packages, own) {
					used = append(used, own)
				}
			}
		}
		for _, own := range used {
			if !slices.ContainsFunc(listed, func(l string) bool { return covers(l, own) }) {
				t.Errorf("%s: imports %s, which its row in docs/architecture.md lacks", row[1], own)
			}
		}
		for _, l := range listed {
			if !slices.ContainsFunc(used, func(own string) bool { return covers(l, own) }) {
				t.Errorf("%s: its row in docs/architecture.md says that it imports %s", row[1], l)
			}
		}
	}
	if rows < 30 {
		t.Errorf("docs/architecture.md has %d rows about packages", rows)
	}
	for name := range imports {
		if !slices.ContainsFunc(all, func(n string) bool { return n == name || strings.HasPrefix(name, n+"/") }) {
			t.Errorf("docs/architecture.md lacks %s", name)
		}
	}
}

// names returns the words between backticks.
func names(text string) (all []string) {
	for _, m := range inBackticks.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// covers reports whether a name of the table, which may end with "/...", covers a package.
func covers(listed, name string) bool {
	tree, ok := strings.CutSuffix(listed, "/...")
	return listed == name || ok && strings.HasPrefix(name, tree+"/")
}
