package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSanitized(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ in, want string }{
		"plain":           {"a\tb\nü 漢 🙂", "a\tb\nü 漢 🙂"},
		"escape":          {"\x1b]0;title\x07", `\u001b]0;title\u0007`},
		"carriage":        {"a\rb", `a\u000db`},
		"DEL":             {"a\x7f", `a\u007f`},
		"C1":              {"\u009b2J", `\u009b2J`},
		"C1 as a byte":    {"\x9b2J", `\x9b2J`},
		"direction":       {"\u202egnp.exe\u2066", `\u202egnp.exe\u2066`},
		"invisible":       {"a\u200bb\ufeff", `a\u200bb\ufeff`},
		"tags":            {"a\U000e0041", `a\udb40\udc41`},
		"not UTF-8":       {"\xff\xfe", `\xff\xfe`},
		"the real U+FFFD": {"\ufffd", "\ufffd"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var whole, bytewise bytes.Buffer
			if n, err := Sanitized(&whole).Write([]byte(tt.in)); n != len(tt.in) || err != nil {
				t.Error(n, err)
			}
			w := Sanitized(&bytewise)
			for i := range len(tt.in) {
				if _, err := w.Write([]byte{tt.in[i]}); err != nil {
					t.Error(err)
				}
			}
			if whole.String() != tt.want || bytewise.String() != tt.want {
				t.Errorf("%q, byte by byte %q; want %q", &whole, &bytewise, tt.want)
			}
		})
	}
}

// JSON that goes through it means the same.
func TestSanitizedJSON(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	hostile := "a\x1b\u009b\x7f\u202e\u2066\U000e0041\n\"\\ü"
	if err := WriteRows(Sanitized(&b), "json", []Column[string]{}, []string{hostile}); err != nil {
		t.Fatal(err)
	}
	var back []string
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || back[0] != hostile ||
		strings.ContainsFunc(b.String(), drivesTerminal) {
		t.Errorf("%q, %v", b.String(), err)
	}
}

func TestResults(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if Results(f) != f {
		t.Error("results in a file are changed")
	}
	var b bytes.Buffer
	if _, err := Results(&b).Write([]byte("\x1b")); err != nil || b.String() != `\u001b` {
		t.Errorf("%q, %v", &b, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Sanitized(f).Write([]byte("a")); err == nil {
		t.Error("an error of the writer is lost")
	}
}

// Whatever is written, and in whatever pieces, the output has nothing that drives a terminal.
func FuzzSanitized(f *testing.F) {
	f.Add([]byte("\x1b[2J\u009b\u202e\xff"), byte(2))
	f.Fuzz(func(t *testing.T, in []byte, size byte) {
		var out bytes.Buffer
		w := Sanitized(&out)
		for rest := in; len(rest) > 0; {
			n := min(len(rest), int(size%5)+1)
			if _, err := w.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if !utf8.Valid(out.Bytes()) || bytes.ContainsFunc(out.Bytes(), drivesTerminal) {
			t.Fatalf("%q", &out)
		}
	})
}
