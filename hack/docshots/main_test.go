package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReplace(t *testing.T) {
	t.Parallel()
	const page = "# A\n<!-- shot one -->\nold\n<!-- /shot -->\nrest\n<!-- shot two -->\n<!-- /shot -->\n<!-- shot open -->\n"
	for name, tc := range map[string]struct{ shot, output, want, wantErr string }{
		"replaced": {
			shot: "one", output: "A   B  \n1   2\n\n",
			want: "# A\n<!-- shot one -->\n```console\n$ ls\nA   B\n1   2\n```\n<!-- /shot -->\nrest\n<!-- shot two -->\n<!-- /shot -->\n<!-- shot open -->\n",
		},
		"no such shot": {shot: "three", output: "x", wantErr: "there is no line"},
		"not closed":   {shot: "open", output: "x", wantErr: "has no end"},
		"nothing":      {shot: "two", output: " \n", wantErr: "printed nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := replace(page, tc.shot, "ls", tc.output)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("error = %v, want %q", err, tc.wantErr)
				}
				return
			}
			if err != nil || got != tc.want {
				t.Errorf("got %v\n%s\nwant\n%s", err, got, tc.want)
			}
		})
	}
}

func TestRunTwice(t *testing.T) {
	t.Parallel()
	page := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(page, []byte("<!-- shot a -->\n<!-- /shot -->\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var first string
	for range 2 {
		if err := run(page, "a", "date", strings.NewReader("today\n")); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if first != "" && first != string(data) {
			t.Errorf("another run gives another page:\n%s", data)
		}
		first = string(data)
	}
	if err := run(page+"x", "a", "date", strings.NewReader("today\n")); err == nil {
		t.Error("a page that isn't there is no error")
	}
}
