package chart

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSecurityStatementsAreTested: each statement of the security page names a test, and each of
// these tests exists.
func TestSecurityStatementsAreTested(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	links := regexp.MustCompile(`\[((?:Test|test|Fuzz)\w+)\]\(\.\./([^)]+_test\.go)\)`)
	found := 0
	for line := range strings.Lines(string(page)) {
		matches := links.FindAllStringSubmatch(line, -1)
		found += len(matches)
		for _, m := range matches {
			code, err := os.ReadFile(filepath.Join("..", "..", m[2]))
			if err != nil || !strings.Contains(string(code), "func "+m[1]+"(") {
				t.Errorf("%s: there is no %s in %s (%v)", strings.TrimSpace(line), m[1], m[2], err)
			}
		}
		// In the tables of what each party can't do, the last column is the test.
		if cells := strings.Split(line, " | "); len(cells) == 3 && strings.HasPrefix(line, "| ") &&
			!strings.HasPrefix(line, "| it can't") &&
			!strings.HasPrefix(line, "| they can't") && len(matches) == 0 {
			t.Errorf("no test is named: %s", line)
		}
	}
	if found < 20 {
		t.Errorf("%d tests are named", found)
	}
}
