package main

import (
	"bytes"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// openssl runs it with these arguments.
func openssl(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
		t.Fatalf("openssl %v: %v\n%s", args, err, out)
	}
}

// throwAway makes a key, a release of two files and its sums.
func throwAway(t *testing.T) (private, public, dir string) {
	t.Helper()
	keys, dir := t.TempDir(), t.TempDir()
	private, public = filepath.Join(keys, "key"), filepath.Join(keys, "pub")
	openssl(t, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", private)
	openssl(t, "ec", "-in", private, "-pubout", "-out", public)
	write(t, filepath.Join(dir, "a"), "abc")
	write(t, filepath.Join(dir, "b"), "")
	write(t, filepath.Join(dir, sumsFile), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a\n"+
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  b\n")
	return private, public, dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What is signed is accepted, by openssl too, and nothing that was changed since.
func TestSignAndVerify(t *testing.T) {
	t.Parallel()
	_, otherPublic, _ := throwAway(t)
	tests := map[string]struct {
		change func(t *testing.T, dir string)
		key    string
		want   string
	}{
		"nothing changed": {func(*testing.T, string) {}, "", ""},
		"another key":     {func(*testing.T, string) {}, otherPublic, "SHA256SUMS is not what was signed"},
		"a changed file": {
			func(t *testing.T, dir string) { write(t, filepath.Join(dir, "b"), "x") }, "", "b is not what was signed",
		},
		"a missing file": {
			func(_ *testing.T, dir string) { _ = os.Remove(filepath.Join(dir, "a")) }, "", "no such file",
		},
		"changed sums": {
			func(t *testing.T, dir string) { replace(t, filepath.Join(dir, sumsFile), "  b", "  c") }, "",
			"SHA256SUMS is not what was signed",
		},
		"changed provenance": {func(t *testing.T, dir string) {
			replace(t, filepath.Join(dir, provenance), `"payload":"`, `"payload":"AAAA`)
		}, "", "provenance.intoto.jsonl is not what was signed"},
		"no signature": {
			func(_ *testing.T, dir string) { _ = os.Remove(filepath.Join(dir, signature)) }, "", "no such file",
		},
		"provenance of others": {
			func(t *testing.T, dir string) { write(t, filepath.Join(dir, provenance), "{}") }, "",
			"provenance.intoto.jsonl is not what was signed",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			private, public, dir := throwAway(t)
			if err := run([]string{"-key", private, "-version", "1.2.3", "-commit", "c0ffee", dir}); err != nil {
				t.Fatal(err)
			}
			tt.change(t, dir)
			if tt.key != "" {
				public = tt.key
			}
			err := run([]string{"-verify", "-key", public, dir})
			if (tt.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// The signature is what openssl, and so cosign verify-blob, reads.
func TestOpenSSLVerifies(t *testing.T) {
	t.Parallel()
	private, public, dir := throwAway(t)
	if err := run([]string{"-key", private, "-version", "1.2.3", "-commit", "c0ffee", dir}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, signature))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "raw"), string(raw))
	openssl(
		t, "dgst", "-sha256", "-verify", public, "-signature", filepath.Join(dir, "raw"), filepath.Join(dir, sumsFile),
	)
}

func replace(t *testing.T, path, old, now string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("no %q in %s", old, text)
	}
	write(t, path, strings.Replace(string(text), old, now, 1))
}

func TestErrors(t *testing.T) {
	t.Parallel()
	private, public, dir := throwAway(t)
	empty := t.TempDir()
	write(t, filepath.Join(empty, sumsFile), "")
	odd := t.TempDir()
	write(t, filepath.Join(odd, sumsFile), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  ../a\n")
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"nothing":    {nil, "give -key, the directory"},
		"no version": {[]string{"-key", private, dir}, "give -key, the directory"},
		"no key": {
			[]string{"-key", filepath.Join(dir, "a"), "-version", "1", "-commit", "c", dir}, "holds no PEM key",
		},
		"a public key":  {[]string{"-key", public, "-version", "1", "-commit", "c", dir}, "no private ECDSA key"},
		"a private key": {[]string{"-verify", "-key", private, dir}, "no public ECDSA key"},
		"no sums":       {[]string{"-key", private, "-version", "1", "-commit", "c", t.TempDir()}, "no such file"},
		"empty sums": {
			[]string{"-key", private, "-version", "1", "-commit", "c", empty}, "SHA256SUMS is empty",
		},
		"a path in the sums": {[]string{"-key", private, "-version", "1", "-commit", "c", odd}, "does not write"},
	} {
		if err := run(tt.args); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}
