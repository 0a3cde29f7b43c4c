package registry

import (
	"bytes"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/gearman-operator/gearman-operator/hack/image/oci"
)

// start returns the address of a registry of this test's own.
func start(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// archive writes a small image for two architectures.
func archive(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "app")
	if err := os.WriteFile(program, []byte("program"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "image.tar")
	o := oci.Options{
		Name: "gearman-operator:1.2.3", Architectures: []string{"amd64", "arm64"}, User: "65532:65532",
		Created: time.Unix(1e9, 0).UTC(),
		Layers:  [][]string{{program + ":/manager"}}, Entrypoint: []string{"/manager"},
	}
	if _, err := oci.Write(o, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// checkImage wants an image of a registry to have both architectures.
func checkImage(t *testing.T, image string) {
	t.Helper()
	reference, err := name.ParseReference(image)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(reference, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var architectures []string
	for _, m := range manifest.Manifests {
		architectures = append(architectures, m.Platform.Architecture)
	}
	if got := strings.Join(architectures, " "); got != "amd64 arm64" {
		t.Errorf("the architectures are %q", got)
	}
}

func TestPush(t *testing.T) {
	t.Parallel()
	image := start(t) + "/team/app:1"
	digest, err := Push(t.Context(), archive(t), image)
	if err != nil {
		t.Fatal(err)
	}
	checkImage(t, image)
	checkImage(t, strings.TrimSuffix(image, ":1")+"@"+digest.String())
}

func TestPushErrors(t *testing.T) {
	t.Parallel()
	address := start(t)
	notAnArchive := filepath.Join(t.TempDir(), "x.tar")
	if err := os.WriteFile(notAnArchive, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ archive, image, want string }{
		"no tag":       {archive(t), address + "/app", "REGISTRY/NAME:TAG"},
		"no file":      {"missing.tar", address + "/app:1", "unpacking missing.tar"},
		"no archive":   {notAnArchive, address + "/app:1", "not an OCI archive"},
		"nobody there": {archive(t), "127.0.0.1:1/app:1", "pushing 127.0.0.1:1/app:1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Push(t.Context(), tt.archive, tt.image); err == nil ||
				!strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %q in it", err, tt.want)
			}
		})
	}
}

// make publish, to a registry of the test's own: then the chart installs from there, with the image
// from there.
func TestPublish(t *testing.T) {
	t.Parallel()
	helm := os.Getenv("HELM")
	if helm == "" {
		t.Skip("helm is not built: run make test, or set HELM")
	}
	address := start(t)
	publish := exec.CommandContext(t.Context(), "../../publish")
	publish.Env = append(os.Environ(), "REGISTRY="+address+"/team", "VERSION=1.2.3", "IMAGE_ARCHIVE="+archive(t))
	if out, err := publish.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	checkImage(t, address+"/team/gearman-operator:1.2.3")

	var errs bytes.Buffer
	template := exec.CommandContext(t.Context(), helm, "template", "gearman-operator", "oci://"+address+"/team/charts/gearman-operator",
		"--version", "1.2.3", "--plain-http", "--namespace", "gearman-system")
	template.Stderr = &errs
	out, err := template.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	for _, want := range []string{
		"image: " + address + "/team/gearman-operator:1.2.3\n", "value: " + address + "/team/gearman-operator:1.2.3\n",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the rendered chart lacks %q", want)
		}
	}

	for missing, env := range map[string][]string{
		"set REGISTRY":      {"VERSION=1.2.3", "IMAGE_ARCHIVE=" + archive(t)},
		"REGISTRY must be":  {"REGISTRY=https://example.com", "VERSION=1.2.3", "IMAGE_ARCHIVE=" + archive(t)},
		"VERSION must be":   {"REGISTRY=" + address, "VERSION=latest", "IMAGE_ARCHIVE=" + archive(t)},
		"there is no image": {"REGISTRY=" + address, "VERSION=1.2.3", "IMAGE_ARCHIVE=/nonexistent"},
	} {
		publish := exec.CommandContext(t.Context(), "../../publish")
		publish.Env = append(os.Environ(), env...)
		if out, err := publish.CombinedOutput(); err == nil || !strings.Contains(string(out), missing) {
			t.Errorf("%v: %v, and it says\n%s", env, err, out)
		}
	}
}
