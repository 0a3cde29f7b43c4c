package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestMakeTargets: every `make TARGET` of the pages is a target.
func TestMakeTargets(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(root + "/hack/make/*.mk")
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for _, file := range append(files, root+"/Makefile") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, names := range regexp.MustCompile(`(?m)^([a-z][a-z0-9 -]*):(?:[^=]|$)`).FindAllStringSubmatch(string(data), -1) {
			for name := range strings.FieldsSeq(names[1]) {
				targets[name] = true
			}
		}
	}
	call := regexp.MustCompile("(?m)(?:`|^\\s*(?:[$] )?)make (?:-[a-z]+ )*([a-z][a-z0-9-]*)(?:`| [A-Z]|\\s*$|\\s+#)")
	found := 0
	for name, page := range pages(t) {
		for _, match := range call.FindAllStringSubmatch(page, -1) {
			found++
			if !targets[match[1]] {
				t.Errorf("%s: there is no make %s", name, match[1])
			}
		}
	}
	if found < 30 {
		t.Errorf("%d calls of make found only", found)
	}
}

// TestFilesOfTheCommands: every file of this repository that a command of the pages uses exists.
func TestFilesOfTheCommands(t *testing.T) {
	t.Parallel()
	path := regexp.MustCompile(`(?:^|[\s=])((?:examples|charts|config|docs|hack|test|cmd)/[\w./-]+)`)
	found := 0
	for name, page := range pages(t) {
		if strings.HasPrefix(name, "gearman/") { // a separate module, with its own paths
			continue
		}
		for _, block := range shBlock.FindAllStringSubmatch(page, -1) {
			for _, match := range path.FindAllStringSubmatch(block[1], -1) {
				found++
				if _, err := os.Stat(filepath.Join(root, match[1])); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("%d files found only", found)
	}
}
