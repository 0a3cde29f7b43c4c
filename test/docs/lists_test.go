package docs

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/internal/outcome"
)

// TestListsAreDocumented: the pages that show a list of the product have all of it.
func TestListsAreDocumented(t *testing.T) {
	t.Parallel()
	lacks := func(page, text, what string) {
		t.Helper()
		if !strings.Contains(read(t, "docs/"+page), text) {
			t.Errorf("docs/%s lacks %q, %s", page, text, what)
		}
	}
	for i := range outcome.Results {
		lacks("metrics.md", "| `"+outcome.Results[i].Name+"` |", "a result of gearman_pool_jobs_total")
	}
	series := (outcome.MaxFunctions + 1) * len(outcome.Results)
	lacks("metrics.md", fmt.Sprintf("at most %d of these series", series), "which a pool may have of gearman_pool_jobs_total")
	servers := strings.ToLower(read(t, "docs/servers.md"))
	for name := range gearmantest.Dialects() {
		if !strings.Contains(servers, "| `"+name+"`") {
			t.Errorf("docs/servers.md lacks the dialect %s in its table of versions", name)
		}
	}
}
