package operator

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	const half, missing = 536870912, "missing"
	tests := map[string]struct {
		v2, v1 string
		want   int64
	}{
		"version 2":           {"536870912\n", missing, half / 100 * 90},
		"no limit":            {"max\n", missing, 0},
		"empty":               {"", missing, 0},
		"negative":            {"-1", missing, 0},
		"no number":           {"x", missing, 0},
		"version 1":           {missing, "536870912\n", half / 100 * 90},
		"version 1, no limit": {missing, "9223372036854771712\n", 0},
		"both":                {"max\n", "536870912\n", 0},
		"none":                {missing, missing, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			paths := []string{filepath.Join(dir, "memory.max"), filepath.Join(dir, "memory.limit_in_bytes")}
			for i, text := range []string{tt.v2, tt.v1} {
				if text == missing {
					continue
				}
				if err := os.WriteFile(paths[i], []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := memoryLimit(paths); got != tt.want {
				t.Errorf("%d, want %d", got, tt.want)
			}
		})
	}
}
