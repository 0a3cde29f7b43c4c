package deb

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

const version = "1.2.3"

func output(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func content(t *testing.T, elem ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// build makes the package as `make deb` does.
func build(t *testing.T, binaries, name string) string {
	t.Helper()
	deb := filepath.Join(t.TempDir(), name)
	output(
		t, []string{"VERSION=" + version, "SOURCE_DATE_EPOCH=1700000000"}, "../../hack/deb/build", binaries,
		runtime.GOARCH, deb,
	)
	return deb
}

// TestPackage: the package holds programs that run, units that name them, manual pages and
// completions, and each build of it is identical.
func TestPackage(t *testing.T) {
	t.Parallel()
	if os.Getenv("NFPM") == "" {
		t.Skip("NFPM names no nfpm: run make test, which builds it")
	}
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("dpkg-deb is not installed: this is no Debian")
	}
	binaries := t.TempDir()
	for program, folder := range map[string]string{"gearmanctl": "gearmanctl", "gearman-worker": "worker"} {
		output(t, []string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-ldflags",
			"-s -w -X github.com/gearman-operator/gearman-operator/internal/version.Version="+version, "-o", filepath.Join(binaries, program), "../../cmd/"+folder)
	}
	deb := build(t, binaries, "a.deb")
	if content(t, deb) != content(t, build(t, binaries, "b.deb")) {
		t.Error("two packages of one commit differ")
	}
	for field, want := range map[string]string{
		"Package": "gearman-pools", "Version": version, "Architecture": runtime.GOARCH,
	} {
		if got := strings.TrimSpace(output(t, nil, "dpkg-deb", "--field", deb, field)); got != want {
			t.Errorf("%s is %s, want %s", field, got, want)
		}
	}
	root := t.TempDir()
	output(t, nil, "dpkg-deb", "-x", deb, root)
	if got := output(t, nil, filepath.Join(root, "usr/bin/gearmanctl"), "--version"); !strings.Contains(got, version) {
		t.Errorf("gearmanctl --version says %q", got)
	}
	checkUnits(t, root)
	checkManuals(t, root)
	for file, want := range map[string]string{
		"usr/share/bash-completion/completions/gearmanctl":    "complete",
		"usr/share/zsh/vendor-completions/_gearmanctl":        "#compdef gearmanctl",
		"usr/share/fish/vendor_completions.d/gearmanctl.fish": "complete -c gearmanctl",
		"usr/lib/sysusers.d/gearman-pools.conf":               "\nu gearman ",
		"usr/share/doc/gearman-pools/copyright":               "Apache License",
	} {
		if !strings.Contains(content(t, root, file), want) {
			t.Errorf("%s lacks %q", file, want)
		}
	}
	control := t.TempDir()
	output(t, nil, "dpkg-deb", "-e", deb, control)
	for _, script := range []string{"postinst", "prerm", "postrm"} {
		output(t, nil, "sh", "-n", filepath.Join(control, script))
	}
}

// checkUnits checks that the programs that the units start are in the package, and that a stop
// doesn't end running jobs.
func checkUnits(t *testing.T, root string) {
	t.Helper()
	for unit, mode := range map[string]string{"gearmanctl.service": "process", "gearman-worker@.service": "mixed"} {
		text := content(t, root, "usr/lib/systemd/system", unit)
		for _, program := range regexp.MustCompile(`/usr/(?:local/)?bin/gearman[a-z-]*`).FindAllString(text, -1) {
			if _, err := os.Stat(filepath.Join(root, program)); err != nil {
				t.Errorf("%s names %s: %v", unit, program, err)
			}
		}
		if !strings.Contains(text, "\nKillMode="+mode+"\n") || !strings.Contains(text, "\nTimeoutStopSec=3615\n") {
			t.Errorf("%s lacks KillMode=%s or TimeoutStopSec=3615", unit, mode)
		}
	}
}

// checkManuals checks that each command is in its manual page.
func checkManuals(t *testing.T, root string) {
	t.Helper()
	for program, commands := range map[string][]string{
		"gearmanctl":     {"up", "serve", "demo", "submit", "status", "ui", "record", "simulate"},
		"gearman-worker": {"exec", "stream", "http", "run"},
	} {
		reader, err := gzip.NewReader(strings.NewReader(content(t, root, "usr/share/man/man1", program+".1.gz")))
		if err != nil {
			t.Fatal(err)
		}
		page, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		for _, command := range commands {
			_, text, found := bytes.Cut(page, []byte(`.SH "`+program+" "+command+"\"\n.nf\n"))
			if !found || len(text) < 100 {
				t.Errorf("the manual page of %s lacks the command %s", program, command)
			}
		}
	}
}
