package docs

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// command is one command of a page: a line of a sh or console block, or of an indented one.
type command struct {
	page string
	line int
	text string
}

// programs matches the programs that begin the commands of indented blocks. Any other indented line
// shows a protocol or a formula.
var programs = regexp.MustCompile(`^(build/)?(make|go|docker|kubectl|helm|gearman|gearman-worker|gearmanctl|php) `)

// commandsOf returns the commands of a page. Lines that end with a backslash are joined; comments
// and the output in console blocks are left out.
func commandsOf(name, page string) []command {
	var all []command
	fence, continued := "", false
	for i, line := range strings.Split(page, "\n") {
		if kind, ok := strings.CutPrefix(strings.TrimSpace(line), "```"); ok {
			if fence != "" {
				kind = ""
			} else if kind == "" {
				kind = "-"
			}
			fence, continued = kind, false
			continue
		}
		text := strings.TrimSpace(line)
		if at := strings.Index(text, "  #"); at >= 0 {
			text = strings.TrimSpace(text[:at])
		}
		switch {
		case fence == "console":
			var shown bool
			if text, shown = strings.CutPrefix(text, "$ "); !shown {
				continue
			}
		case fence == "" && !continued && (!strings.HasPrefix(line, "    ") || !programs.MatchString(text)),
			fence != "" && fence != "sh", text == "":
			continue
		}
		if continued {
			all[len(all)-1].text += " " + strings.TrimSuffix(text, "\\")
		} else {
			all = append(all, command{name, i + 1, strings.TrimSuffix(text, "\\")})
		}
		continued = strings.HasSuffix(text, "\\")
	}
	return all
}

// check is a test or target that runs commands of the pages, or tries their options.
type check struct {
	page, command *regexp.Regexp // nil: every
	by            []string       // tests, or targets of make
}

// checks are tried in order, and the first that matches a command counts. Targets of make that
// continuous integration runs need no check. Commands in testdata/commands.txt have none, for the
// reason given there.
var checks = []check{
	{regexp.MustCompile(`^docs/quickstart\.md$`), nil, []string{"make quickstart"}},
	{nil, regexp.MustCompile(`^kubectl gearman import `), []string{"TestKubectlCommandsOfTheDocs", "TestPluginCalls"}},
	{nil, regexp.MustCompile(`^kubectl gearman `), []string{"TestPluginCalls"}},
	{nil, regexp.MustCompile(`^kubectl rollout status `), []string{"make quickstart"}},
	{nil, regexp.MustCompile(`^(kubectl|php -r) `), []string{"TestKubectlCommandsOfTheDocs"}},
	{nil, regexp.MustCompile(`^helm (install|upgrade) `), []string{"TestHelmCallsOfTheDocs"}},
	{nil, regexp.MustCompile(`^helm (test|uninstall) `), []string{"make quickstart"}},
	{nil, regexp.MustCompile(`^gearmanctl (up|ui|submit) `), []string{"TestCallsOfTheDocs"}},
	{nil, regexp.MustCompile(`^make publish `), []string{"TestPublish"}},
	{regexp.MustCompile(`^examples/README\.md$`), regexp.MustCompile(`^gearman -f `), []string{"TestNewPHPCode", "TestThumbnailsExample"}},
	{nil, regexp.MustCompile(`^go get \S+/gearman$`), []string{"make modules"}},
	{regexp.MustCompile(`^docs/releasing\.md$`), regexp.MustCompile(`^make modules`), []string{"make modules"}},
	{regexp.MustCompile(`^examples/README\.md$`), regexp.MustCompile(`gearman-worker (stream|exec) `), []string{"TestStream", "TestThumbnailsExample"}},
	{regexp.MustCompile(`^docs/howto/tls\.md$`), regexp.MustCompile(`^(examples/gearmand-tls-certificates\.sh|cd certificates$)`), []string{"TestKubectlCommandsOfTheDocs"}},
	{regexp.MustCompile(`^docs/php\.md$`), regexp.MustCompile(`^gearman-worker stream `), []string{"TestNetGearman"}},
	{nil, regexp.MustCompile(`^go build -o \S+ \./cmd/worker$`), []string{"TestNewPHPCode"}},
	{nil, regexp.MustCompile(`^gearman-worker exec `), []string{"TestWorkerCommandsOfThePages"}},
}

// exceptions returns the commands of testdata/commands.txt that nothing runs, by page, with their
// reasons.
func exceptions(t *testing.T) map[[2]string]string {
	t.Helper()
	all := map[[2]string]string{}
	for line := range strings.Lines(read(t, "test/docs/testdata/commands.txt")) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		cells := strings.Split(line, " | ")
		if len(cells) != 3 || cells[2] == "" {
			t.Fatalf("not PAGE | COMMAND | WHY: %q", line)
		}
		all[[2]string{cells[0], cells[1]}] = cells[2]
	}
	return all
}

// tests returns the names of the tests in this repository.
func tests(t *testing.T) map[string]bool {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "grep", "-rhoE", "--include=*_test.go", `^func Test\w+`, root).Output()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		names[strings.TrimPrefix(strings.TrimSpace(line), "func ")] = true
	}
	return names
}

// TestEveryCommand: every command of the pages is run or tried by a test or by a target of make
// that continuous integration runs, or testdata/commands.txt says why it can't be. `go test
// ./test/docs -v -run EveryCommand` prints what runs each.
func TestEveryCommand(t *testing.T) {
	t.Parallel()
	known, left, ci := tests(t), exceptions(t), ciTargets(t)
	for _, check := range checks {
		for _, by := range check.by {
			if target, ok := strings.CutPrefix(by, "make "); ok {
				if !ci[target] {
					t.Errorf("continuous integration does not run make %s", target)
				}
			} else if !known[by] {
				t.Errorf("there is no test %s", by)
			}
		}
	}
	used := map[[2]string]bool{}
	found := 0
	for name, page := range pages(t) {
		for _, c := range commandsOf(name, page) {
			found++
			key := [2]string{c.page, c.text}
			if why, ok := left[key]; ok {
				used[key] = true
				t.Logf("%s:%d: %s | not run: %s", c.page, c.line, c.text, why)
				continue
			}
			if words := strings.Fields(c.text); words[0] == "make" && ci[words[1]] {
				t.Logf("%s:%d: %s | continuous integration", c.page, c.line, c.text)
				continue
			}
			at := slices.IndexFunc(checks, func(check check) bool {
				return (check.page == nil || check.page.MatchString(c.page)) && (check.command == nil ||
					check.command.MatchString(c.text))
			})
			if at < 0 {
				t.Errorf("%s:%d: nothing runs `%s`: test it, or say in test/docs/testdata/commands.txt why that can't be", c.page, c.line, c.text)
				continue
			}
			t.Logf("%s:%d: %s | %s", c.page, c.line, c.text, strings.Join(checks[at].by, ", "))
		}
	}
	for key, why := range left {
		for _, test := range regexp.MustCompile(`\bTest\w+`).FindAllString(why, -1) {
			if !known[test] {
				t.Errorf("testdata/commands.txt: %s: there is no test %s", key[1], test)
			}
		}
		if !used[key] {
			t.Errorf("testdata/commands.txt: %s has no command %q any more", key[0], key[1])
		}
	}
	if found < 80 {
		t.Errorf("%d commands found only", found)
	}
}

// ciTargets returns the targets of make that .ci/run runs: those that it names, what they depend
// on, and what their recipes make.
func ciTargets(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(root + "/hack/make/*.mk")
	if err != nil {
		t.Fatal(err)
	}
	rule := regexp.MustCompile(`^([a-z][a-z0-9 -]*):([^=#]*)`)
	needs := map[string][]string{}
	for _, file := range files {
		var targets []string
		for line := range strings.Lines(read(t, strings.TrimPrefix(file, root+"/"))) {
			var words string
			if match := rule.FindStringSubmatch(line); match != nil {
				targets, words = strings.Fields(match[1]), match[2]
			} else if _, after, ok := strings.Cut(line, "$(MAKE) "); ok && strings.HasPrefix(line, "\t") {
				words = after
			}
			for _, target := range targets {
				needs[target] = append(needs[target], target) // known, even if it needs nothing
				needs[target] = append(needs[target], strings.Fields(words)...)
			}
		}
	}
	runs := map[string]bool{}
	var add func(string)
	add = func(target string) {
		if needs[target] != nil && !runs[target] {
			runs[target] = true
			for _, need := range needs[target] {
				add(need)
			}
		}
	}
	for _, target := range regexp.MustCompile(`targets\+?=\(([^)]*)\)`).FindAllStringSubmatch(read(t, ".ci/run"), -1) {
		for name := range strings.FieldsSeq(target[1]) {
			add(name)
		}
	}
	for _, want := range []string{"verify", "test", "e2e", "cluster-up"} {
		if !runs[want] {
			t.Fatalf("make %s is not found among what .ci/run runs", want)
		}
	}
	return runs
}

func TestCommandsOf(t *testing.T) {
	t.Parallel()
	page := "Text.\n\n```sh\nmake a   # why\nhelm install x \\\n  --wait\n```\n\n    go build ./cmd\n    s = 1\n\n" +
		"```console\n$ kubectl get gwp\nNAME\n```\n\n```yaml\na: b\n```\n"
	want := []command{
		{"p", 4, "make a"},
		{"p", 5, "helm install x  --wait"},
		{"p", 9, "go build ./cmd"},
		{"p", 13, "kubectl get gwp"},
	}
	if got := commandsOf("p", page); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestWorkerCommandsOfThePages: gearman-worker accepts the options of its commands in the pages.
func TestWorkerCommandsOfThePages(t *testing.T) {
	t.Parallel()
	binary, err := workerBinary()
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for name, page := range pages(t) {
		for _, c := range commandsOf(name, page) {
			words := strings.Fields(c.text)
			at := slices.IndexFunc(words, func(word string) bool { return word == "--" })
			if !strings.HasSuffix(words[0], "gearman-worker") || at < 0 {
				continue
			}
			tried++
			// The flag --help comes last among the worker's own options, so that all options before
			// it have been parsed.
			args := append(slices.Clone(words[1:at]), "--help")
			if out, err := exec.CommandContext(t.Context(), binary, args...).CombinedOutput(); err != nil {
				t.Errorf("%s:%d: %s: %v\n%s", c.page, c.line, c.text, err, out)
			}
		}
	}
	if tried < 5 {
		t.Errorf("%d commands tried only", tried)
	}
}
