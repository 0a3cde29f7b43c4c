package docs

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/gearman-operator/gearman-operator/internal/kubectlgearman"
)

var (
	shBlock  = regexp.MustCompile("(?ms)^```(?:sh|console)\n(.*?)^```$")
	codeSpan = regexp.MustCompile("`(kubectl gearman [^`\n]+)`")
)

// pluginCalls returns the calls of the plugin in the docs, as their words, by page.
func pluginCalls(t *testing.T) map[string][][]string {
	t.Helper()
	calls := map[string][][]string{}
	for _, dir := range []string{"docs", "examples", "README.md", "CONTRIBUTING.md", "SECURITY.md"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".md" {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			var script strings.Builder
			for _, block := range shBlock.FindAllStringSubmatch(string(data), -1) {
				for line := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", " ")) {
					if line = strings.TrimPrefix(
						strings.TrimSpace(line), "$ ",
					); strings.HasPrefix(line, "kubectl gearman ") {
						script.WriteString(line + "\n")
					}
				}
			}
			for _, span := range codeSpan.FindAllStringSubmatch(string(data), -1) {
				if !strings.ContainsAny(span[1], "<[…") && !strings.Contains(span[1], "...") {
					script.WriteString(span[1] + "\n")
				}
			}
			if words := shellWords(t, script.String()); len(words) > 0 {
				calls[strings.TrimPrefix(path, root+"/")] = words
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return calls
}

// shellWords makes a shell split lines of calls into words: kubectl is a function that prints its
// arguments.
func shellWords(t *testing.T, script string) [][]string {
	t.Helper()
	if script == "" {
		return nil
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-c",
		"exec 3>&1 1>/dev/null; kubectl() { printf '%s\\1' \"$@\" >&3; printf '\\2' >&3; }\n"+script)
	cmd.Dir = t.TempDir() // where redirections go
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v in\n%s", err, script)
	}
	var all [][]string
	for call := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x02"), "\x02") {
		all = append(all, strings.Split(strings.TrimSuffix(call, "\x01"), "\x01"))
	}
	return all
}

// TestPluginCalls: the plugin accepts every call of it in the docs: its command, flags and number
// of arguments.
func TestPluginCalls(t *testing.T) {
	t.Parallel()
	calls := pluginCalls(t)
	total := 0
	for page, words := range calls {
		for _, call := range words {
			total++
			if call[1] == "completion" || call[1] == "__complete" ||
				call[1] == "--help" { // cobra adds these when it runs
				continue
			}
			streams, _, _, _ := genericiooptions.NewTestIOStreams()
			plugin := kubectlgearman.NewCommand(streams)
			command, rest, err := plugin.Find(call[1:])
			if err == nil && command == plugin && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
				t.Errorf("%s: %v: there is no such command", page, call)
				continue
			}
			if err == nil {
				for i := range rest {
					if rest[i] == "N" { // stands for any number
						rest[i] = "1"
					}
				}
				err = command.ParseFlags(rest)
			}
			if err == nil && command.Flags().NArg() > 0 { // prose may name a command without its arguments
				if err = command.ValidateArgs(command.Flags().Args()); err == nil {
					err = command.ValidateRequiredFlags()
				}
			}
			if err != nil {
				t.Errorf("%s: %s: %v", page, strings.Join(call, " "), err)
			}
		}
	}
	if total < 20 {
		t.Errorf("%d calls found only", total)
	}
}
