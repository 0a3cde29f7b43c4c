package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The bill names each module that the program's own build information names, and each file by its
// digest.
func TestBillOfAnImage(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	roots := filepath.Join(t.TempDir(), "roots")
	if err := os.WriteFile(roots, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{
		"-name", "image", "-version", "1.2.3", "-file", "/etc/ssl/certs/ca-certificates.crt=" + roots, self,
	}
	var first, second bytes.Buffer
	for _, out := range []*bytes.Buffer{&first, &second} {
		if err := run(args, out); err != nil {
			t.Fatal(err)
		}
	}
	if first.String() != second.String() {
		t.Error("two bills of the same image differ")
	}
	var b bom
	if err := json.Unmarshal(first.Bytes(), &b); err != nil {
		t.Fatal(err)
	}
	refs := map[string]component{}
	for _, c := range b.Components {
		refs[c.Ref] = c
	}
	info, err := buildinfo.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range info.Deps {
		if m.Replace == nil && refs["pkg:golang/"+m.Path+"@"+m.Version].Name != m.Path {
			t.Errorf("%s %s is missing", m.Path, m.Version)
		}
	}
	if refs["pkg:golang/stdlib@"+strings.TrimPrefix(info.GoVersion, "go")].Type != "library" {
		t.Error("the standard library is missing")
	}
	const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	if f := refs["file:/etc/ssl/certs/ca-certificates.crt"]; len(f.Hashes) != 1 || f.Hashes[0].Content != abc {
		t.Errorf("%+v", f)
	}
	if b.Format != "CycloneDX" || b.Metadata.Component.Type != "container" || b.Metadata.Component.Version != "1.2.3" {
		t.Errorf("%+v", b.Metadata)
	}
	for _, d := range b.Dependencies {
		for _, ref := range d.DependsOn {
			if refs[ref].Ref == "" {
				t.Errorf("%s depends on %s, which is not described", d.Ref, ref)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"nothing":      {nil, "give -name, -version and the programs"},
		"no program":   {[]string{"-name", "n", "-version", "1", text}, "is not a Go program"},
		"a bad file":   {[]string{"-name", "n", "-version", "1", "-file", "x", self}, "want NAME=PATH"},
		"missing file": {[]string{"-name", "n", "-version", "1", "-file", "x=/nonexistent", self}, "no such file"},
	} {
		if err := run(tt.args, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}
