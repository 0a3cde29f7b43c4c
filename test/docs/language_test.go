package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// pages returns the Markdown files that people write, by path: all but those that make generate
// writes.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, part := range []string{
		"docs", "examples", "gearman", "charts/gearman-operator/README.md", "README.md", "CONTRIBUTING.md",
		"SECURITY.md",
	} {
		err := filepath.WalkDir(filepath.Join(root, part), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".md" {
				return err
			}
			data, err := os.ReadFile(path)
			if err == nil && !strings.HasPrefix(string(data), "<!-- generated from ") {
				all[strings.TrimPrefix(path, root+"/")] = string(data)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(all) < 60 {
		t.Fatalf("%d pages found only", len(all))
	}
	return all
}

// prose calls line with each line of a page that is neither code nor an HTML comment, and with its
// number.
func prose(page string, line func(number int, text string)) {
	code := false
	for i, text := range strings.Split(page, "\n") {
		if strings.HasPrefix(strings.TrimSpace(text), "```") {
			code = !code
			continue
		}
		if !code && !strings.HasPrefix(text, "    ") && !strings.HasPrefix(text, "<!--") {
			line(i+1, text)
		}
	}
}

// paragraphs calls visit with each paragraph of a page's prose in one line, and with the number of
// its first line. An item of a list and a row of a table are paragraphs too.
func paragraphs(page string, visit func(number int, text string)) {
	var words []string
	first, last := 0, 0
	flush := func() {
		if len(words) > 0 {
			visit(first, strings.Join(words, " "))
		}
		words = nil
	}
	prose(page, func(number int, text string) {
		fields := strings.Fields(text)
		if number != last+1 || len(fields) == 0 || listItem.MatchString(text) {
			flush()
		}
		if len(words) == 0 {
			first = number
		}
		words, last = append(words, fields...), number
	})
	flush()
}

// listItem matches where an item of a list, a row of a table or a heading begins.
var listItem = regexp.MustCompile(`^\s*([-*#|>]|\d+\.)`)

const pageColumns = 100

// tooLong reports whether a line of prose should have been wrapped. Tables, pictures and a lone
// link can't be.
func tooLong(text string) bool {
	trimmed := strings.TrimSpace(text)
	if strings.HasPrefix(trimmed, "|") || strings.HasPrefix(trimmed, "![") || !strings.Contains(trimmed, " ") {
		return false
	}
	return utf8.RuneCountInString(text) > pageColumns
}

func TestPagesAreWrapped(t *testing.T) {
	t.Parallel()
	for name, page := range pages(t) {
		prose(page, func(number int, text string) {
			if tooLong(text) {
				t.Errorf("%s:%d: %d columns, wrap it at %d", name, number, utf8.RuneCountInString(text), pageColumns)
			}
		})
	}
}

// plainWords are words that the pages do not use, and what they use instead. It lists only words
// without another meaning on a page about job servers.
var plainWords = []struct {
	word *regexp.Regexp
	use  string
}{
	{regexp.MustCompile(`(?i)\b(mend|mends|mended|mending)\b`), "fix"},
	{regexp.MustCompile(`(?i)\b(end|ends|ended|ending) well\b`), "complete"},
	{regexp.MustCompile(`(?i)\b(hand|hands|handed|give|gives|gave|given) back\b`), "requeue, return"},
	{regexp.MustCompile(`(?i)\b(is|are|was|were|be) worked on\b`), "runs, is processed"},
	{regexp.MustCompile(`(?i)\bworks? on (a|the|its|their|one|these|those|several) (job|function)s?\b`), "process, serve"},
	{regexp.MustCompile(`(?i)\bon end\b`), "in a row"},
	{regexp.MustCompile(`(?i)\blearnt\b`), "learned"},
	{regexp.MustCompile(`(?i)\bfor ever\b`), "forever"},
	{regexp.MustCompile(`(?i)\b(thereby|amid|likewise)\b`), "a sentence of its own"},
	{regexp.MustCompile(`(?i)\b(synchron|organ|optim|normal|serial|recogn|minim|maxim)is(e|es|ed|ing|ation)\b`), "-ize"},
	{regexp.MustCompile(`(?i)\b(behaviour|colour|favour|neighbour)s?\b`), "-or"},
	{regexp.MustCompile(`(?i)\b((pool|replicas|number of pods) grows?|shrinks?|shrank)\b`), "scale up, scale down"},
	{regexp.MustCompile(`(?i)\b(servers?|workers?|operator|pods?|they) tells? (how|the|which|that|what|nothing)\b`), "report, return, show"},
	{regexp.MustCompile(`(?i)\bby HTTPS?\b`), "via HTTPS, over HTTPS"},
	{regexp.MustCompile(`(?i)\b(works?|worked) on (at once|jobs)\b`), "run at a time, process jobs"},
	{regexp.MustCompile(`(?i)\btells? (neither|nothing)\b`), "report, list, show"},
	{regexp.MustCompile(`(?i)\b(pods?|workers?) that (are|were) told to stop\b`), "terminating pods, workers that stop"},
}

// wordProblems returns the words of a text that the pages do not use.
func wordProblems(text string) []string {
	var problems []string
	for _, w := range plainWords {
		if found := w.word.FindString(text); found != "" {
			problems = append(problems, `"`+found+`": write `+w.use)
		}
	}
	return problems
}

// TestWords: the pages use the words of the Kubernetes documentation, one word for one thing.
func TestWords(t *testing.T) {
	t.Parallel()
	for name, page := range pages(t) {
		paragraphs(page, func(number int, text string) {
			for _, problem := range wordProblems(text) {
				t.Errorf("%s:%d: %s", name, number, problem)
			}
		})
	}
}

// TestParagraphs: a phrase is found across the end of a line, but not across the end of an item.
func TestParagraphs(t *testing.T) {
	t.Parallel()
	const page = "# Title\nOne is\ngiven back.\n\n- a\n  b\n- c\n| d |\n```\ncode\n```\n1. e\nf"
	var got []string
	paragraphs(page, func(number int, text string) { got = append(got, fmt.Sprint(number, " ", text)) })
	want := []string{"1 # Title One is given back.", "5 - a b", "7 - c", "8 | d |", "12 1. e f"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("paragraphs (-want +got):\n%s", diff)
	}
}

// TestWordsAreFound: the checks find the words that they are for, and ignore text that only looks
// like them.
func TestWordsAreFound(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"The fault was mended.":                      1,
		"jobs that ended well":                       1,
		"The pool does not shrink":                   1,
		"a queue grows":                              0,
		"a pool grows":                               1,
		"Job servers tell how many jobs wait.":       1,
		"jobs are handed back":                       1,
		"jobs that a pod works on at once":           1,
		"a probe that tells nothing":                 1,
		"Pods that were told to stop":                1,
		"This works on Linux; workers on each node.": 0,
		"a backend that runs a job":                  0,
	} {
		if got := wordProblems(text); len(got) != want {
			t.Errorf("%q: %v, want %d problems", text, got, want)
		}
	}
	if long := strings.Repeat("word ", 21); !tooLong(long) || tooLong("| "+long) || tooLong(strings.Repeat("w", 120)) {
		t.Error("tooLong does not find a line of 105 columns, or finds a table or a single word")
	}
}
