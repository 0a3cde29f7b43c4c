package main

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		files map[string]string
		links int
		want  []string
	}{
		"a file and a heading": {
			files: map[string]string{
				"README.md":     "see [the `law`](docs/law.md#how-it-decides-0-or-1) and [top](#top)\n# Top\n",
				"docs/law.md":   "# How it *decides* (0 or 1)\n[back](../README.md) [twice](#a-1)\n## a\n## a\n",
				"docs/other.md": "[ref]: law.md\n",
			},
			links: 5,
		},
		"a missing file": {
			files: map[string]string{"README.md": "\n[x](nothing.md \"title\")"},
			links: 1,
			want:  []string{"README.md:2: nothing.md: no such file"},
		},
		"a missing heading": {
			files: map[string]string{"README.md": "[x](#gone)"},
			links: 1,
			want:  []string{"README.md:1: #gone: no such heading"},
		},
		"out of the tree": {
			files: map[string]string{"README.md": "[x](../secret.md) [y](/etc/passwd)"},
			links: 2,
			want: []string{
				"README.md:1: ../secret.md: leads out of the tree",
				"README.md:1: /etc/passwd: absolute path: link relative to the file",
			},
		},
		"code is not prose": {
			files: map[string]string{"README.md": "```\n[x](gone.md)\n```\n`[x](gone.md)` [ok](https://example.com/gone)"},
			links: 1,
		},
		"hidden and generated directories": {
			files: map[string]string{
				"build/a.md": "[x](gone.md)", ".cache/a.md": "[x](gone.md)", "testdata/a.md": "[x](gone.md)",
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := fstest.MapFS{}
			for file, text := range tt.files {
				root[file] = &fstest.MapFile{Data: []byte(text)}
			}
			got, err := check(root)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.broken); diff != "" {
				t.Errorf("broken links (-want +got):\n%s", diff)
			}
			if got.links != tt.links {
				t.Errorf("links = %d, want %d", got.links, tt.links)
			}
		})
	}
}
