package docs

import (
	"strings"
	"testing"
)

// answerLine returns the line of a page at which words begin, ignoring line breaks, or 0.
func answerLine(page, words string) int {
	line, want := 1, strings.Fields(words)
	for rest := page; rest != ""; line++ {
		text, _, _ := strings.Cut(rest, "\n")
		fields := strings.Fields(rest[:min(len(rest), len(text)+len(words)+200)])
		for i := range strings.Fields(text) {
			if i+len(want) <= len(fields) &&
				strings.Contains(strings.Join(fields[i:i+len(want)], " "), strings.Join(want, " ")) {
				return line
			}
		}
		_, rest, _ = strings.Cut(rest, "\n")
	}
	return 0
}

// TestQuestions: every question is answered on a page that the list of pages leads to in one step.
func TestQuestions(t *testing.T) {
	t.Parallel()
	index, asked := read(t, "docs/README.md"), map[string]int{}
	for line := range strings.Lines(read(t, "test/docs/testdata/questions.txt")) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) != 4 {
			t.Fatalf("not PERSONA | QUESTION | PAGE | WORDS: %q", line)
		}
		persona, question, file, words := cells[0], cells[1], cells[2], cells[3]
		asked[persona]++
		if !strings.Contains(index, "("+strings.TrimPrefix(file, "docs/")) {
			t.Errorf("%s: docs/README.md does not lead to %s", question, file)
		}
		found := answerLine(read(t, file), words)
		if found == 0 {
			t.Errorf("%s: %s has no answer with %q", question, file, words)
		}
		t.Logf("%s | %s | %s:%d", persona, question, strings.TrimPrefix(file, "docs/"), found)
	}
	if len(asked) != 5 {
		t.Errorf("%d kinds of readers, want 5", len(asked))
	}
	for persona, questions := range asked {
		if questions < 10 {
			t.Errorf("%s asks %d questions, want at least 10", persona, questions)
		}
	}
}

func TestAnswerLine(t *testing.T) {
	t.Parallel()
	const page = "# Title\n\nOne line and\nanother `code`.\n"
	for words, want := range map[string]int{"Title": 1, "line and another": 3, "`code`": 4, "missing": 0} {
		if got := answerLine(page, words); got != want {
			t.Errorf("%q is at line %d, want %d", words, got, want)
		}
	}
}
