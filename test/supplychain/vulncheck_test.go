package supplychain

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestVulncheck: hack/vulncheck fails if the tool finds something or the named database does not
// answer, and reports that it checked nothing if the public database does not answer.
func TestVulncheck(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		database http.HandlerFunc
		tool     string // in testdata
		public   bool   // the database is not named
		status   int
		want     []string
	}{
		"nothing found": {
			found, "clean", false, 0, []string{"args: -db http://127.0.0.1", "no known vulnerability is reachable"},
		},
		"found":                            {found, "finds", false, 3, []string{"upgrade the modules"}},
		"the named database has no answer": {http.NotFound, "finds", false, 1, []string{"correct VULNDB"}},
		"no public database": {
			http.NotFound, "finds", true, 0, []string{"SKIPPED, nothing was checked", "set VULNDB"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(tt.database)
			defer server.Close()
			cmd := exec.CommandContext(t.Context(), "../../hack/vulncheck")
			cmd.Env = append(os.Environ(), "GOVULNCHECK="+tool(t, tt.tool), "no_proxy=*", "VULNDB="+server.URL)
			if tt.public {
				// This is the public database's address, through a proxy that does not exist.
				cmd.Env = append(cmd.Env, "VULNDB=", "no_proxy=", "NO_PROXY=", "https_proxy=http://127.0.0.1:1")
			}
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != tt.status {
				t.Errorf("%v, want status %d", err, tt.status)
			}
			for _, want := range tt.want {
				if !strings.Contains(string(out), want) {
					t.Errorf("no %q in:\n%s", want, out)
				}
			}
			if ran := strings.Contains(string(out), "args: "); ran != strings.Contains(name, "found") {
				t.Errorf("the tool ran: %t", ran)
			}
		})
	}
}

// tool returns the absolute path of a program in testdata.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func found(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }
