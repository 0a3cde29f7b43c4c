package oci

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// What a Dockerfile copies is what an archive holds.
func TestTree(t *testing.T) {
	t.Parallel()
	o := options(t, 0o700, time.Now())
	o.Architectures = []string{"arm64"}
	archive := filepath.Join(t.TempDir(), "image.tar")
	if _, err := Write(o, archive); err != nil {
		t.Fatal(err)
	}
	listed, err := List(archive, "arm64")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "out")
	if err := WriteTree(o, dir); err != nil {
		t.Fatal(err)
	}
	found := 0
	err = filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		info, err := os.Lstat(p)
		if err != nil {
			return err
		}
		found++
		path := strings.TrimPrefix(p, dir)
		i := slices.IndexFunc(listed, func(line string) bool { return strings.Contains(line, " 0:0 "+path+" ") })
		if i < 0 {
			t.Errorf("%s is in the tree and not in the archive", path)
			return nil
		}
		mode, _, _ := strings.Cut(listed[i], " ")
		want := map[string]os.FileMode{
			"0644": 0o644, "0755": 0o755, "0777": 0o777 | os.ModeSymlink, "1777": 0o777 | os.ModeSticky,
		}[mode]
		if got := info.Mode() &^ os.ModeDir; got != want {
			t.Errorf("%s: mode %v in the tree, %v in the archive (%s)", path, got, want, mode)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := len(
		slices.DeleteFunc(slices.Clone(listed), func(line string) bool { return !strings.Contains(line, " 0:0 /") }),
	); found != want || found < 7 {
		t.Errorf("%d files in the tree, %d in the archive: %q", found, want, listed)
	}
	o.Architectures = append(o.Architectures, "amd64")
	if err := WriteTree(o, dir); err == nil || !strings.Contains(err.Error(), "one architecture") {
		t.Errorf("a tree of two architectures: %v", err)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	archive := filepath.Join(t.TempDir(), "image.tar")
	if _, err := Write(options(t, 0o755, time.Now()), archive); err != nil {
		t.Fatal(err)
	}
	got, err := List(archive, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"0755 0:0 /bin/app 7 1310ca2c8932dbd118668bd97442558a3e1f546b5e15c69699dfbd6024f548d8",
		"0777 0:0 /bin/other -> app", "1777 0:0 /tmp dir",
		"os linux/amd64", "user 65532:65532", `entrypoint ["/bin/app"]`, "label a=1", "label b=2", "workdir /",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no line %q in %q", want, got)
		}
	}
	if _, err := List(archive, "riscv64"); err == nil || !strings.Contains(err.Error(), "riscv64") {
		t.Errorf("an architecture that isn't there: %v", err)
	}
	if err := os.WriteFile(archive, []byte("no archive"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := List(archive, "amd64"); err == nil || !strings.Contains(err.Error(), archive) {
		t.Errorf("no archive at all: %v", err)
	}
}
