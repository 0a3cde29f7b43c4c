package operator

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"536870912\n": 536870912 / 100 * 90, "max\n": 0, "": 0, "-1": 0, "x": 0} {
		path := filepath.Join(t.TempDir(), "memory.max")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := memoryLimit(path); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	if got := memoryLimit(filepath.Join(t.TempDir(), "none")); got != 0 {
		t.Errorf("%d without a file", got)
	}
}
