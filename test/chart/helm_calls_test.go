package chart

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// helmCalls returns the `helm install` and `helm upgrade` commands in the sh blocks of a page, each
// as its words.
func helmCalls(page string) [][]string {
	var calls [][]string
	for _, block := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(page, -1) {
		for line := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", " ")) {
			words := strings.Fields(strings.ReplaceAll(line, "'", ""))
			if len(words) > 3 && words[0] == "helm" && (words[1] == "install" || words[1] == "upgrade") {
				calls = append(calls, words)
			}
		}
	}
	return calls
}

// TestHelmCallsOfTheDocs: the values that the pages set when they install the chart exist, and its
// templates accept them.
func TestHelmCallsOfTheDocs(t *testing.T) {
	t.Parallel()
	found := 0
	for _, part := range []string{"README.md", "docs", "charts/gearman-operator/README.md"} {
		err := filepath.WalkDir(filepath.Join(root, part), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".md" {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, words := range helmCalls(string(data)) {
				found++
				if chart := words[3]; chart != "charts/gearman-operator" &&
					!strings.HasPrefix(chart, "oci://registry.example.com/") {
					t.Errorf("%s: %s is no chart of this project's", path, chart)
				}
				var flags []string
				for i := 4; i < len(words); i++ {
					switch words[i] {
					case "--set":
						flags = append(flags, words[i], words[i+1])
					case "-f", "--values":
						flags = append(flags, words[i], filepath.Join(root, words[i+1]))
					}
				}
				if kinds(render(t, flags...))["Deployment"] != 1 {
					t.Errorf("%s: %s renders no operator", path, strings.Join(words, " "))
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < 6 {
		t.Errorf("%d calls found only", found)
	}
}
