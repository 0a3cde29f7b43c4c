package docs

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const root = "../.."

// read returns a file of the repository.
func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(root + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// need skips the test if a program is not installed, or fails it where tests must not be skipped.
func need(t *testing.T, program, debianPackage string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("GEARMAN_TEST_ALL_LANGUAGES") != "" {
		t.Fatalf("%s is not installed: apt-get install %s", program, debianPackage)
	}
	t.Skipf("%s is not installed: apt-get install %s", program, debianPackage)
}

// luaValue writes a decoded YAML value as a Lua expression.
func luaValue(value any) string {
	switch value := value.(type) {
	case nil:
		return "nil"
	case string:
		return strconv.Quote(value)
	case []any:
		items := make([]string, len(value))
		for i, item := range value {
			items[i] = luaValue(item)
		}
		return "{" + strings.Join(items, ", ") + "}"
	case map[string]any:
		var items []string
		for _, key := range slices.Sorted(maps.Keys(value)) {
			items = append(items, fmt.Sprintf("[%q] = %s", key, luaValue(value[key])))
		}
		return "{" + strings.Join(items, ", ") + "}"
	default:
		return fmt.Sprint(value)
	}
}

// argoHealth runs the shipped health check as Argo CD does: in Lua 5.1, with the pool as the global
// obj.
func argoHealth(t *testing.T, pool string) string {
	t.Helper()
	var object map[string]any
	if err := yaml.Unmarshal([]byte(pool), &object); err != nil {
		t.Fatal(err)
	}
	program := "obj = " + luaValue(object) + "\nlocal function check()\n" + read(t, "config/argocd/health.lua") +
		"\nend\nlocal hs = check()\nprint(hs.status .. ': ' .. hs.message)\n"
	cmd := exec.CommandContext(t.Context(), "lua5.1", "-")
	cmd.Stdin = strings.NewReader(program)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("lua5.1: %v\n%s", err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

func TestArgoCDHealth(t *testing.T) {
	t.Parallel()
	need(t, "lua5.1", "lua5.1")
	conditions := func(ready, readyReason, stalled string) string {
		return "{observedGeneration: 2, conditions: [" +
			"{type: Ready, status: \"" + ready + "\", reason: " + readyReason + ", message: why}," +
			"{type: Stalled, status: \"" + stalled + "\", reason: AsExpected, message: stuck}]}"
	}
	tests := map[string]struct{ spec, status, want string }{
		"no status yet": {
			status: "{}", want: "Progressing: waiting for the operator to see this version of the pool",
		},
		"an older generation": {
			status: "{observedGeneration: 1, conditions: [{type: Ready, status: \"True\"}]}",
			want:   "Progressing: waiting for the operator to see this version of the pool",
		},
		"ready":   {status: conditions("True", "AsExpected", "False"), want: "Healthy:"},
		"stalled": {status: conditions("False", "InvalidPodTemplate", "True"), want: "Degraded: stuck"},
		"stalled and paused": {
			spec: "{scaling: {mode: Paused}}", status: conditions("False", "NameTaken", "True"),
			want: "Degraded: stuck",
		},
		"paused": {
			spec: "{scaling: {mode: Paused}}", status: conditions("True", "AsExpected", "False"),
			want: "Suspended: scaling.mode is Paused",
		},
		"manual": {
			spec: "{scaling: {mode: Manual}}", status: conditions("True", "AsExpected", "False"), want: "Healthy:",
		},
		"rollout":               {status: conditions("False", "Rollout", "False"), want: "Progressing: why"},
		"pods that can't start": {status: conditions("False", "PodsNotStarting", "False"), want: "Degraded: why"},
		"silent job servers":    {status: conditions("False", "NoneAnswers", "False"), want: "Progressing: why"},
		"a load balancer":       {status: conditions("False", "LoadBalanced", "False"), want: "Degraded: why"},
		"not asked yet":         {status: conditions("Unknown", "NotYetPolled", "False"), want: "Progressing: why"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := tt.spec
			if spec == "" {
				spec = "{image: i}"
			}
			if got := argoHealth(
				t, "{metadata: {generation: 2}, spec: "+spec+", status: "+tt.status+"}",
			); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestArgoCDHealthOnItsPage: the page shows the shipped file, line by line.
func TestArgoCDHealthOnItsPage(t *testing.T) {
	t.Parallel()
	page := read(t, "docs/gitops.md")
	for line := range strings.Lines(read(t, "config/argocd/health.lua")) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "--") &&
			!strings.Contains(page, line) {
			t.Errorf("docs/gitops.md lacks %q of config/argocd/health.lua", line)
		}
	}
}
