package registry

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// hack/pin-build-image puts the digest that the registry has for the tag into the Dockerfile, in
// the place of an older one.
func TestPinBuildImage(t *testing.T) {
	t.Parallel()
	image := start(t) + "/library/golang:1.26"
	digest, err := Push(t.Context(), archive(t), image)
	if err != nil {
		t.Fatal(err)
	}
	want := dockerfile(image + "@" + digest.String())
	for name, before := range map[string]string{
		"a tag":             image,
		"the digest of now": image + "@" + digest.String(),
		"an older digest":   image + "@sha256:" + strings.Repeat("0", 64),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "Dockerfile")
			if err := os.WriteFile(file, []byte(dockerfile(before)), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), "../../pin-build-image", file).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			got, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func dockerfile(image string) string {
	return "# syntax\nARG GO_IMAGE=" + image + "\nFROM ${GO_IMAGE} AS build\nFROM scratch\n"
}

// Where the digest can't be looked up the Dockerfile stays as it is, and the error says what to do.
func TestPinBuildImageErrors(t *testing.T) {
	t.Parallel()
	address := start(t)
	for name, tt := range map[string]struct{ before, want string }{
		"no such tag":  {dockerfile(address + "/library/golang:1.26"), "where its registry can be reached"},
		"nobody there": {dockerfile("127.0.0.1:1/library/golang:1.26"), "where its registry can be reached"},
		"no tag":       {dockerfile(address + "/library/golang"), "REGISTRY/NAME:TAG"},
		"no argument":  {"FROM scratch\n", "has no line ARG GO_IMAGE="},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "Dockerfile")
			if err := os.WriteFile(file, []byte(tt.before), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), "../../pin-build-image", file).CombinedOutput()
			if err == nil || !strings.Contains(string(out), tt.want) {
				t.Errorf("%v, want %q in\n%s", err, tt.want, out)
			}
			if got, err := os.ReadFile(file); err != nil || string(got) != tt.before {
				t.Errorf("the Dockerfile is now %q (%v), want it as it was", got, err)
			}
		})
	}
}
