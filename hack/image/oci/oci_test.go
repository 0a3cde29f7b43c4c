package oci

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// options describes an image of a program and a link to it, from files in a fresh folder.
func options(t *testing.T, mode os.FileMode, modified time.Time) Options {
	t.Helper()
	app := filepath.Join(t.TempDir(), "app")
	if err := os.WriteFile(app, []byte("program"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(app, mode), os.Chtimes(app, modified, modified)); err != nil {
		t.Fatal(err)
	}
	return Options{
		Name: "app:1", Architectures: []string{"amd64", "arm64"}, Roots: "/etc/ssl/certs/ca-certificates.crt",
		Layers: [][]string{{":/tmp:1777"}, {app + ":/bin/app", "@app:/bin/other"}}, Entrypoint: []string{"/bin/app"},
		User:    "65532:65532",
		Created: time.Unix(1e9, 0).UTC(), Labels: map[string]string{"b": "2", "a": "1"},
	}
}

func TestTwoBuildsGiveOneArchive(t *testing.T) {
	t.Parallel()
	// The umask of who checked the tree out, and when, must not count.
	var archives [2]string
	for i, o := range []Options{options(t, 0o755, time.Unix(1, 0)), options(t, 0o700, time.Unix(2, 0))} {
		archives[i] = filepath.Join(t.TempDir(), "image.tar")
		if _, err := Write(o, archives[i]); err != nil {
			t.Fatal(err)
		}
	}
	if first, second := read(t, archives[0]), read(t, archives[1]); first != second {
		t.Error("two builds of the same files differ")
	}
	other := options(t, 0o755, time.Unix(1, 0))
	other.Created = other.Created.Add(time.Second)
	file := filepath.Join(t.TempDir(), "image.tar")
	if _, err := Write(other, file); err != nil {
		t.Fatal(err)
	}
	if read(t, archives[0]) == read(t, file) {
		t.Error("the date of the source does not count")
	}
}

func TestImage(t *testing.T) {
	t.Parallel()
	index, err := Build(options(t, 0o755, time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 2 {
		t.Fatalf("want 2 platforms, got %d", len(manifest.Manifests))
	}
	for i, arch := range []string{"amd64", "arm64"} {
		d := manifest.Manifests[i]
		if d.Platform.Architecture != arch || d.Platform.OS != "linux" {
			t.Errorf("platform %d: got %v, want linux/%s", i, d.Platform, arch)
		}
		image, err := index.Image(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if config.Architecture != arch || config.Config.User != "65532:65532" ||
			config.Config.Entrypoint[0] != "/bin/app" {
			t.Errorf("config of %s: got %+v", arch, config)
		}
		checkFiles(t, image)
	}
}

func checkFiles(t *testing.T, image v1.Image) {
	t.Helper()
	got := map[string]*tar.Header{}
	r := mutate.Extract(image)
	defer r.Close()
	for files := tar.NewReader(r); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got[strings.TrimSuffix(h.Name, "/")] = h
	}
	for name, mode := range map[string]int64{
		"tmp": 0o1777, "bin": 0o755, "bin/app": 0o755, "bin/other": 0o777, "etc/ssl/certs/ca-certificates.crt": 0o644,
	} {
		switch h := got[name]; {
		case h == nil:
			t.Errorf("no %s in the image; there are %d entries", name, len(got))
		case h.Mode != mode || h.Uid != 0 || h.Gid != 0:
			t.Errorf("%s: mode %o, owner %d:%d; want %o of root", name, h.Mode, h.Uid, h.Gid, mode)
		}
	}
	if h := got["bin/other"]; h != nil && h.Linkname != "app" {
		t.Errorf("bin/other links to %q, want app", h.Linkname)
	}
}

func TestArchiveNamesTheImage(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "image.tar")
	digest, err := Write(options(t, 0o755, time.Now()), file)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for files := tar.NewReader(f); ; {
		h, err := files.Next()
		if err != nil {
			t.Fatalf("no index.json in the archive: %v", err)
		}
		if h.Name != "index.json" {
			continue
		}
		var index v1.IndexManifest
		if err := json.NewDecoder(files).Decode(&index); err != nil {
			t.Fatal(err)
		}
		d := index.Manifests[0]
		if d.Digest != digest || d.Annotations["io.containerd.image.name"] != "docker.io/library/app:1" ||
			d.Annotations["org.opencontainers.image.ref.name"] != "1" {
			t.Errorf("got %s with %v", d.Digest, d.Annotations)
		}
		return
	}
}

func TestFullName(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ want, wantErr string }{
		"app:1":                   {want: "docker.io/library/app:1"},
		"acme/app:1":              {want: "docker.io/acme/app:1"},
		"registry.local/app:1":    {want: "registry.local/app:1"},
		"localhost/app:1":         {want: "localhost/app:1"},
		"localhost:5000/acme/a:1": {want: "localhost:5000/acme/a:1"},
		"localhost:5000/app":      {wantErr: "has no tag"},
		"app":                     {wantErr: "has no tag"},
		"app:":                    {wantErr: "has no tag"},
		"app:latest":              {wantErr: "use a version"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _, err := Options{Name: name}.fullName()
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("got %q, %v; want an error with %q", got, err, tc.wantErr)
				}
				return
			}
			if err != nil || got != tc.want {
				t.Errorf("got %q, %v; want %q", got, err, tc.want)
			}
		})
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change  func(*Options)
		wantErr string
	}{
		"no architecture":    {func(o *Options) { o.Architectures = nil }, "no architecture"},
		"missing file":       {func(o *Options) { o.Layers = [][]string{{"/nonexistent:/x"}} }, "no such file"},
		"relative path":      {func(o *Options) { o.Layers = [][]string{{"x:x"}} }, "want SOURCE:/PATH"},
		"no path":            {func(o *Options) { o.Layers = [][]string{{"x"}} }, "want SOURCE:/PATH"},
		"mode is not octal":  {func(o *Options) { o.Layers = [][]string{{":/x:9"}} }, "not an octal number"},
		"mode is too large":  {func(o *Options) { o.Layers = [][]string{{":/x:17777"}} }, "not an octal number"},
		"source is a folder": {func(o *Options) { o.Layers = [][]string{{os.TempDir() + ":/x"}} }, "is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t, 0o755, time.Now())
			tc.change(&o)
			dir := t.TempDir()
			if _, err := Write(o, filepath.Join(dir, "image.tar")); err == nil ||
				!strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("got %v, want an error with %q", err, tc.wantErr)
			}
			left, err := os.ReadDir(dir)
			if err != nil || len(left) > 0 {
				t.Errorf("a failed build leaves %v, %v", left, err)
			}
		})
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
