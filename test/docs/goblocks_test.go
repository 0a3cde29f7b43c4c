package docs

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// goImports are the packages that the Go code of the pages may use.
var goImports = []string{
	"bytes", "context", "crypto/tls", "encoding/json", "errors", "fmt", "io", "log", "log/slog", "net", "net/http",
	"os", "os/signal", "slices",
	"strconv", "strings", "sync", "syscall", "testing", "testing/synctest", "time",
	"github.com/prometheus/client_golang/prometheus", "go.opentelemetry.io/otel/trace", library, library + "/admin",
	library + "/client",
	library + "/codec", library + "/gearmantest", library + "/proto", library + "/worker",
	library + "/worker/workertest",
}

const library = "github.com/gearman-operator/gearman-operator/gearman"

// goPrelude declares the names that the Go code of the pages assumes and a reader's program has.
const goPrelude = `
var (
	ctx   = context.Background()
	image []byte
)

func shrink(context.Context, []byte) ([]byte, error) { return nil, nil }
`

// handlerPrelude and shrinkPrelude are what the name resize stands for, by page.
const (
	handlerPrelude = "func resize(context.Context, *worker.Job) ([]byte, error) { return nil, nil }\n"
	shrinkPrelude  = "func resize(context.Context, []byte) ([]byte, error) { return nil, nil }\n"
)

// goPages are the pages with Go code.
var goPages = map[string]string{
	"docs/go.md": handlerPrelude, "docs/testing.md": handlerPrelude, "gearman/README.md": shrinkPrelude,
}

// TestGoBlocks: every block of Go in the pages compiles, as the body of a function or as a
// declaration, together with what a reader's program has. Unused values are the only errors
// allowed, since a page shows how to get them.
func TestGoBlocks(t *testing.T) {
	t.Parallel()
	for name, page := range pages(t) {
		if _, ok := goPages[name]; !ok && strings.Contains(page, "\n```go\n") {
			t.Errorf("%s has Go code: say in goPages what it takes for granted", name)
		}
	}
	// The module of the examples requires what a reader's program may. The operator's module does
	// not have all of it.
	work, err := filepath.Abs(root + "/examples/library")
	if err != nil {
		t.Fatal(err)
	}
	overlay := map[string]map[string]string{"Replace": {}}
	var packages []string
	where := map[string]string{} // by package
	dir := t.TempDir()
	for name, prelude := range goPages {
		for i, block := range regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllStringSubmatch(read(t, name), -1) {
			code := regexp.MustCompile(`(?m)^\s*\.\.\.$`).ReplaceAllString(block[1], "")
			if !regexp.MustCompile(`(?m)^func \w`).MatchString(code) {
				code = "func snippet(t *testing.T) (err error) {\n" + code + "\nreturn err\n}\n"
			} else {
				code += "\nvar _ *testing.T\n"
			}
			pkg := fmt.Sprintf("snippet%d", len(packages))
			file := filepath.Join(dir, pkg+".go")
			code = goPrelude + prelude + code
			var head strings.Builder
			head.WriteString("package snippet\n\n")
			for _, path := range goImports {
				if strings.Contains(code, path[strings.LastIndex(path, "/")+1:]+".") {
					head.WriteString("import " + strconv.Quote(path) + "\n")
				}
			}
			if err := os.WriteFile(file, []byte(head.String()+code), 0o600); err != nil {
				t.Fatal(err)
			}
			overlay["Replace"][filepath.Join(work, pkg, pkg+".go")] = file
			packages = append(packages, "./"+pkg)
			where[pkg] = fmt.Sprintf("%s, block %d of Go:\n%s", name, i+1, block[1])
		}
	}
	data, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	// The flag -e shows all errors, so that unused variables can't hide others.
	cmd := exec.CommandContext(
		t.Context(), "go",
		append([]string{"build", "-gcflags=-e", "-overlay=" + filepath.Join(dir, "overlay.json")}, packages...)...,
	)
	cmd.Dir = work
	// these are make's flags, so that what it needs is compiled already
	cmd.Env = append(os.Environ(), "GOFLAGS=-trimpath", "CGO_ENABLED=0", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	problem := regexp.MustCompile(`(snippet\d+)\.go:(\d+:\d+: .*)`)
	found := false
	for line := range strings.Lines(string(out)) {
		match := problem.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		found = true
		if !strings.Contains(match[2], "declared and not used") &&
			!strings.Contains(match[2], "imported and not used") {
			t.Errorf("%s: %s", where[match[1]], match[2])
		}
	}
	if err != nil && !found {
		t.Fatalf("%v: %s", err, out)
	}
	if len(packages) < 9 {
		t.Errorf("%d blocks only", len(packages))
	}
}
