package supplychain

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestBaseImages: the image has no base whose contents a third party could change. The Dockerfile's
// last stage is scratch, and hack/image packs files only. The only other image is the one that
// compiles. It must be pinned by its digest; as long as it is not, docs/security.md says so.
func TestBaseImages(t *testing.T) {
	t.Parallel()
	var stages []string
	builder := ""
	for line := range strings.Lines(read(t, "../../Dockerfile")) {
		fields := strings.Fields(line)
		if value, ok := strings.CutPrefix(line, "ARG GO_IMAGE="); ok {
			builder = strings.TrimSpace(value)
		}
		if len(fields) == 0 || fields[0] != "FROM" {
			continue
		}
		fields = fields[1:]
		for strings.HasPrefix(fields[0], "--") {
			fields = fields[1:]
		}
		stages = append(stages, fields[0])
	}
	if got := strings.Join(stages, ", "); got != "${GO_IMAGE}, scratch" {
		t.Errorf("the stages are FROM %s, want ${GO_IMAGE} and scratch: pin any other image by its digest", got)
	}
	pinned := regexp.MustCompile(`^[a-z0-9.]+/[a-z/]+:[0-9.]+@sha256:[0-9a-f]{64}$`).MatchString(builder)
	said := strings.Contains(
		strings.Join(strings.Fields(read(t, "../../docs/security.md")), " "), "names Go's image by its tag until",
	)
	if !pinned && !said {
		t.Errorf("GO_IMAGE is %s, without a digest: run make pin-build-image, or say so in docs/security.md", builder)
	}
	if builder == "" || strings.Contains(builder, "@") && !pinned {
		t.Errorf("GO_IMAGE is %q, want REGISTRY/NAME:TAG@sha256:DIGEST", builder)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
