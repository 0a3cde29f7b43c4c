package supplychain

import (
	"os"
	"strings"
	"testing"
)

// The image has no base whose contents somebody else could change: the Dockerfile's last stage is
// scratch, and hack/image packs files only.
func TestImageHasNoBase(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	last := ""
	for line := range strings.Lines(string(text)) {
		if from, ok := strings.CutPrefix(line, "FROM "); ok {
			last = strings.TrimSpace(from)
		}
	}
	if last != "scratch" {
		t.Errorf(
			"the last stage is FROM %s, want scratch: pin any other by digest and say so in docs/security.md", last,
		)
	}
}
