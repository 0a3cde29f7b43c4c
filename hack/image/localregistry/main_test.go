package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ file, want string }{
		"no file":        {"", "name a file"},
		"no such folder": {filepath.Join(t.TempDir(), "none", "address"), "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := run(tt.file); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("run: %v, want an error with %q", err, tt.want)
			}
		})
	}
}
