package main

import (
	"fmt"
	"strings"
)

// step is one sh block of a page.
type step struct {
	heading  string // the heading above it
	line     int    // of its fence
	commands string
	want     []string // lines that the output must hold: the text block after it
}

// steps returns the sh blocks of a page, in its order. A text block belongs to the sh block before
// it.
func steps(page string) ([]step, error) {
	var (
		all     []step
		heading string
		fence   string // the kind of the open block, "-" for one to ignore
		block   string
		begin   int
		number  int
	)
	for line := range strings.Lines(page) {
		number++
		line = strings.TrimSuffix(line, "\n")
		kind, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && fence == "":
			fence, begin = kind, number
			if fence == "" {
				fence = "-"
			}
			block = ""
		case isFence:
			switch {
			case fence == "sh":
				all = append(all, step{heading: heading, line: begin, commands: block})
			case fence == "text" && len(all) > 0:
				all[len(all)-1].want = strings.Split(strings.TrimSuffix(block, "\n"), "\n")
			}
			fence = ""
		case fence != "":
			block += line + "\n"
		case strings.HasPrefix(line, "#"):
			heading = strings.TrimSpace(strings.TrimLeft(line, "#"))
		}
	}
	if fence != "" {
		return nil, fmt.Errorf("line %d: the block is not closed", begin)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there is no sh block in it")
	}
	return all, nil
}

// lacks returns the first line of want that the output does not hold, or "" if it holds all. The
// number of blanks between columns may differ.
func (s step) lacks(output string) string {
	squeezed := squeeze(output)
	for _, want := range s.want {
		if !strings.Contains(squeezed, squeeze(want)) {
			return want
		}
	}
	return ""
}

func squeeze(text string) string { return strings.Join(strings.Fields(text), " ") }
