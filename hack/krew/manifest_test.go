package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const version = "1.2.3"

// file is a file of an archive.
type file struct {
	name, content string
	mode          int64
}

func packed(t *testing.T, files ...file) []byte {
	t.Helper()
	var data bytes.Buffer
	zipped := gzip.NewWriter(&data)
	archive := tar.NewWriter(zipped)
	// As hack/release packs them: the folder itself, then the files in it.
	if err := archive.WriteHeader(&tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		header := &tar.Header{Name: "./" + f.name, Typeflag: tar.TypeReg, Mode: f.mode, Size: int64(len(f.content))}
		if err := archive.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(f.content)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []interface{ Close() error }{archive, zipped} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return data.Bytes()
}

// plugins are the platforms that hack/release builds the plugin for.
func plugins(t *testing.T) []string {
	t.Helper()
	script, err := os.ReadFile("../release")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, line := range regexp.MustCompile(`binary kubectl-gearman kubectl-gearman (\S+) ([^\s;]+)`).
		FindAllStringSubmatch(string(script), -1) {
		systems, arches := []string{line[1]}, []string{line[2]}
		if line[1] == `"$os"` {
			systems = []string{"linux", "darwin"}
		}
		if line[2] == `"$arch"` {
			arches = []string{"amd64", "arm64"}
		}
		for _, system := range systems {
			for _, arch := range arches {
				all = append(all, system+"_"+arch)
			}
		}
	}
	if len(all) != 5 {
		t.Fatalf("hack/release builds the plugin for %q, want five platforms", all)
	}
	return all
}

// release writes an archive of the plugin for each platform, and returns their directory.
func release(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, on := range plugins(t) {
		bin := "kubectl-gearman"
		if strings.HasPrefix(on, "windows") {
			bin += ".exe"
		}
		archive := packed(t, file{bin, "#!/bin/sh\necho " + on + "\n", 0o755}, file{"LICENSE", "free", 0o644})
		write(t, filepath.Join(dir, "kubectl-gearman_"+version+"_"+on+".tar.gz"), archive)
	}
	return dir
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// The manifest leads to each archive of the release once, with its checksum and its program, for
// its platform.
func TestManifest(t *testing.T) {
	t.Parallel()
	dir := release(t)
	text, err := manifest(version, dir)
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		APIVersion, Kind string
		Metadata         struct{ Name string }
		Spec             struct {
			Version, Homepage, ShortDescription, Description string
			Platforms                                        []struct {
				Selector         struct{ MatchLabels map[string]string }
				URI, SHA256, Bin string
			}
		}
	}
	if err := yaml.UnmarshalStrict([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	if m.APIVersion != "krew.googlecontainertools.github.com/v1alpha2" || m.Kind != "Plugin" || m.Metadata.Name != "gearman" ||
		m.Spec.Version != "v1.2.3" || m.Spec.Homepage == "" || m.Spec.Description == "" {
		t.Errorf("manifest %+v", m)
	}
	if n := len(m.Spec.ShortDescription); n == 0 || n > 50 {
		t.Errorf("a short description of %d characters, krew's index takes 50", n)
	}
	left := map[string]bool{}
	for _, on := range plugins(t) {
		left[on] = true
	}
	for _, p := range m.Spec.Platforms {
		on := p.Selector.MatchLabels["os"] + "_" + p.Selector.MatchLabels["arch"]
		if !left[on] {
			t.Errorf("%s is listed twice, or not built", on)
		}
		delete(left, on)
		name := path.Base(p.URI)
		if want := "https://github.com/gearman-operator/gearman-operator/releases/download/v1.2.3/kubectl-gearman_1.2.3_" +
			on + ".tar.gz"; p.URI != want {
			t.Errorf("URI %s, want %s", p.URI, want)
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		if p.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: checksum %s, want %x", name, p.SHA256, sum)
		}
		if err := holds(data, p.Bin); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(left) > 0 {
		t.Errorf("platforms without an entry: %v", left)
	}
}

func TestArchivesThatKrewCouldNotInstall(t *testing.T) {
	t.Parallel()
	bin, license := file{"kubectl-gearman", "x", 0o755}, file{"LICENSE", "x", 0o644}
	tests := map[string]struct {
		name string // of the archive; empty: linux_amd64
		data []byte
		want string
	}{
		"no archive":         {name: "gearmanctl_1.2.3_linux_amd64.tar.gz", want: "has no kubectl-gearman_1.2.3_OS_ARCH.tar.gz"},
		"another version":    {name: "kubectl-gearman_1.2.2_linux_amd64.tar.gz", want: "remove or rename it"},
		"no architecture":    {name: "kubectl-gearman_1.2.3_linux.tar.gz", want: "remove or rename it"},
		"too many words":     {name: "kubectl-gearman_1.2.3_linux_amd64_v2.tar.gz", want: "remove or rename it"},
		"no gzip":            {data: []byte("x"), want: "it is no gzip file"},
		"no tar":             {data: zippedText(t), want: "it is no tar file"},
		"no program":         {data: packed(t, license), want: "it has no file kubectl-gearman"},
		"no license":         {data: packed(t, bin), want: "it has no file LICENSE"},
		"not executable":     {data: packed(t, file{"kubectl-gearman", "x", 0o644}, license), want: "is not executable"},
		"Windows' by a typo": {name: "kubectl-gearman_1.2.3_windows_amd64.tar.gz", data: packed(t, bin, license), want: "it has no file kubectl-gearman.exe"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.name == "" {
				tt.name = "kubectl-gearman_1.2.3_linux_amd64.tar.gz"
			}
			dir := t.TempDir()
			write(t, filepath.Join(dir, tt.name), tt.data)
			if _, err := manifest(version, dir); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
	unreadable := t.TempDir()
	if err := os.Mkdir(filepath.Join(unreadable, "kubectl-gearman_1.2.3_linux_amd64.tar.gz"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := manifest(version, unreadable); err == nil {
		t.Error("a directory passes for an archive")
	}
	if _, err := manifest(version, "[x"); err == nil {
		t.Error("a directory whose name is a broken pattern gives no error")
	}
}

func zippedText(t *testing.T) []byte {
	t.Helper()
	var data bytes.Buffer
	w := gzip.NewWriter(&data)
	if _, err := w.Write(bytes.Repeat([]byte("x"), 1024)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return data.Bytes()
}

// krew itself installs the plugin by the manifest, from the archive of this machine, without a
// network, and refuses an archive that was changed.
func TestKrewInstalls(t *testing.T) {
	t.Parallel()
	krew := os.Getenv("KREW")
	if krew == "" {
		t.Skip("KREW names no krew: make test builds and uses it")
	}
	dir, home := release(t), t.TempDir()
	text, err := manifest(version, dir)
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(dir, "gearman.krew.yaml")
	write(t, at, []byte(text))
	on := runtime.GOOS + "_" + runtime.GOARCH
	archive := filepath.Join(dir, "kubectl-gearman_"+version+"_"+on+".tar.gz")
	install := func() ([]byte, error) {
		cmd := exec.CommandContext(t.Context(), krew, "install", "--manifest="+at, "--archive="+archive)
		cmd.Env = append(os.Environ(), "KREW_ROOT="+home, "KREW_NO_UPGRADE_CHECK=1")
		return cmd.CombinedOutput()
	}
	good, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	write(t, archive, packed(t, file{"kubectl-gearman", "evil", 0o755}, file{"LICENSE", "", 0o644}))
	if out, err := install(); err == nil || !bytes.Contains(out, []byte("checksum does not match")) {
		t.Fatalf("a changed archive: %v\n%s", err, out)
	}
	write(t, archive, good)
	if out, err := install(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(home, "bin", "kubectl-gearman")).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != on {
		t.Errorf("the installed plugin prints %q (%v), want %q", out, err, on)
	}
}
