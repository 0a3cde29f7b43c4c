package docs

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// languages are the kinds of blocks in the pages, and what checks each of them against the product.
var languages = map[string]string{
	"sh": "TestEveryCommand", "console": "TestEveryCommand", "yaml": "TestEveryYAML", "go": "TestGoBlocks",
	"promql":  "make lint-chart", // promtool parses them; TestMetricsExist checks their names
	"text":    "make quickstart", // the output that docrun compares
	"mermaid": "",                // pictures; nothing here draws them
	"php":     "", "python": "", "perl": "",
}

// programsOfThePages are the blocks in scripting languages: a text that each contains, and the test
// that runs it.
var programsOfThePages = []struct{ page, holds, test string }{
	{"docs/php.md", "$job->status(1, 2);", "TestNewPHPCode"},
	{"docs/php.md", "class GearmanCommand", "TestFrameworksOfThePHPPage"},
	{"docs/php.md", "class Gearman extends", "TestFrameworksOfThePHPPage"},
	{"docs/howto/python.md", "sys.stdin.buffer.read()", "TestPythonSnippets"},
	{"docs/howto/python.md", "model = load_model()", "TestPythonSnippets"},
	{"docs/howto/python.md", "import django", "TestDjangoSnippet"},
	{"docs/telemetry.md", "GearmanWorker", "TestWorkersOfTheDocs"},
	{"docs/telemetry.md", "Gearman::Worker", "TestWorkersOfTheDocs"},
	{"docs/telemetry.md", "import os, socket, struct", "TestWorkersOfTheDocs"},
}

// TestEveryBlock: every block of every page is run, applied, compiled or parsed by an existing
// test.
func TestEveryBlock(t *testing.T) {
	t.Parallel()
	known, ci := tests(t), ciTargets(t)
	exists := func(by string) bool {
		target, isMake := strings.CutPrefix(by, "make ")
		return by == "" || isMake && ci[target] || known[by]
	}
	for language, by := range languages {
		if !exists(by) {
			t.Errorf("%s: there is no %s", language, by)
		}
	}
	begin := regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")
	found := 0
	for name, page := range pages(t) {
		for _, match := range begin.FindAllStringSubmatch(page, -1) {
			found++
			by, ok := languages[match[1]]
			if !ok {
				t.Errorf("%s has a block of %s, which no test knows", name, match[1])
			}
			if by != "" || match[1] == "mermaid" {
				continue
			}
			at := slices.IndexFunc(programsOfThePages, func(p struct{ page, holds, test string }) bool {
				return p.page == name && strings.Contains(match[2], p.holds)
			})
			if at < 0 {
				t.Errorf("%s: nothing runs this %s:\n%s", name, match[1], match[2])
			} else if !exists(programsOfThePages[at].test) {
				t.Errorf("%s: there is no test %s", name, programsOfThePages[at].test)
			}
		}
	}
	if found < 80 {
		t.Errorf("%d blocks found only", found)
	}
}

// TestPythonSnippets runs the two programs of the page on Python unchanged: one process for each
// job, and one that keeps running.
func TestPythonSnippets(t *testing.T) {
	t.Parallel()
	need(t, "python3", "python3")
	need(t, "gearman", "gearman-tools")
	const page = "docs/howto/python.md"
	dir := writeFiles(t, map[string]string{
		"reverse.py":        block(t, page, "python", "sys.stdin.buffer.read()"),
		"gearman_stream.py": read(t, "examples/python/gearman_stream.py"),
		"classify.py": "def load_model():\n    return lambda workload: workload.upper()\n\n\n" + block(
			t, page, "python", "model = load_model()",
		),
	})
	tests := map[string]struct {
		args []string
		want string
	}{
		"exec":   {[]string{"exec", "--function=f", "--", "python3", "reverse.py"}, "cba"},
		"stream": {[]string{"stream", "--function=f", "--", "python3", "classify.py"}, "ABC"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, _ := startWorker(t, dir, tt.args...)
			if got, err := submit(t, addr, "f", "abc"); err != nil || got != tt.want {
				t.Errorf("result = %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}
