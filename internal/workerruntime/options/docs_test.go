package options

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDocs checks that docs/runtime.md has the program's table of options. UPDATE_DOCS=1 writes it.
func TestDocs(t *testing.T) {
	t.Parallel()
	const path = "../../../docs/runtime.md"
	const begin, end = "holds them together -->\n", "<!-- /options -->"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the options", path)
	}
	if os.Getenv("UPDATE_DOCS") != "" {
		if err := os.WriteFile(path, []byte(before+begin+Markdown()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(Markdown(), got); diff != "" {
		t.Errorf("run UPDATE_DOCS=1 go test %s (-want +got):\n%s", "./internal/workerruntime/options", diff)
	}
}
