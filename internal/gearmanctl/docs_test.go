package gearmanctl

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every call of gearmanctl in the docs is one that it understands: its command, flags and number of arguments.
func TestCallsOfTheDocs(t *testing.T) {
	t.Parallel()
	var files []string
	for _, pattern := range []string{"README.md", "docs/*.md", "docs/howto/*.md", "examples/*.md"} {
		found, err := filepath.Glob(filepath.Join("..", "..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	call := regexp.MustCompile("(?m)(?:^|`)gearmanctl ([^`\n#]+)")
	total := 0
	for _, file := range files {
		page, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range call.FindAllStringSubmatch(string(page), -1) {
			words := strings.Fields(match[1])
			if words[len(words)-1] == "..." || !regexp.MustCompile(`^[a-z]+$`).MatchString(words[0]) {
				words = words[:1]
			}
			total++
			root := newCommand(streams{strings.NewReader(""), io.Discard, io.Discard})
			command, rest, err := root.Find(words)
			if err == nil && command == root {
				t.Errorf("%s: gearmanctl %s: there is no such command", file, match[1])
				continue
			}
			if err == nil {
				err = command.ParseFlags(rest)
			}
			if err == nil && command.Flags().NArg() > 0 { // prose may name a command without its arguments
				err = command.ValidateArgs(command.Flags().Args())
			}
			if err != nil {
				t.Errorf("%s: gearmanctl %s: %v", file, match[1], err)
			}
		}
	}
	if total < 6 {
		t.Errorf("%d calls found only", total)
	}
}
