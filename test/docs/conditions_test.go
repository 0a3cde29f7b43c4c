package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestConditionsOfTheConceptsPage: the page of concepts explains every condition of a pool.
func TestConditionsOfTheConceptsPage(t *testing.T) {
	t.Parallel()
	page := read(t, "docs/concepts.md")
	types := regexp.MustCompile(`(?m)^\tCondition\w+ += "(\w+)"`).FindAllStringSubmatch(read(t, "api/v1alpha1/status_types.go"), -1)
	if len(types) < 9 {
		t.Fatalf("%d conditions found only", len(types))
	}
	for _, match := range types {
		if !strings.Contains(page, "\n| `"+match[1]+"` |") {
			t.Errorf("docs/concepts.md says nothing of the condition %s", match[1])
		}
	}
}

// TestLengthOfPages: pages to read are short; the others are for lookup.
func TestLengthOfPages(t *testing.T) {
	t.Parallel()
	const most = 2500 // words
	references := map[string]bool{
		"api.md": true, "runtime.md": true, "scaling-law.md": true, "polling.md": true, "servers.md": true,
	}
	err := filepath.WalkDir(root+"/docs", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".md" || references[entry.Name()] {
			return err
		}
		data, err := os.ReadFile(path)
		if words := len(strings.Fields(string(data))); words > most {
			t.Errorf("%s has %d words, over %d: split it", path, words, most)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
