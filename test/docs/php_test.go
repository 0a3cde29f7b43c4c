package docs

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/test/kit"
)

// block returns the code block of a page in a language that contains a text.
func block(t *testing.T, page, language, holds string) string {
	t.Helper()
	blocks := regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(read(t, page), -1)
	for _, b := range blocks {
		if strings.Contains(b[1], holds) {
			return b[1]
		}
	}
	t.Fatalf("%s has no %s block with %q", page, language, holds)
	return ""
}

var binaries string // where workerBinary builds

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "docs-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binaries = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// workerBinary builds gearman-worker once for all tests.
var workerBinary = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(binaries, "gearman-worker")
	out, err := exec.Command("go", "build", "-o", binary, root+"/cmd/worker").CombinedOutput()
	if err != nil {
		os.Stderr.Write(out)
	}
	return binary, err
})

// startWorker runs gearman-worker with arguments until the test ends, on a job server of its own,
// whose address it returns.
func startWorker(t *testing.T, dir string, args ...string) (addr string, log *kit.Buffer) {
	t.Helper()
	binary, err := workerBinary()
	if err != nil {
		t.Fatal(err)
	}
	server := jobserver.Gearmand(t)
	log = &kit.Buffer{}
	worker := exec.Command(binary, append([]string{args[0], "--server=" + server.Addr}, args[1:]...)...)
	worker.Dir, worker.Stdout, worker.Stderr = dir, log, log
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = worker.Process.Kill()
		_ = worker.Wait()
		if t.Failed() {
			t.Logf("the worker's log:\n%s", log)
		}
	})
	return server.Addr, log
}

// submit runs a job in the foreground and returns its result.
func submit(t *testing.T, addr, function, workload string) (string, error) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "gearman", "-h", host, "-p", port, "-t", "60000", "-f", function)
	cmd.Stdin = strings.NewReader(workload)
	out, err := cmd.Output()
	result, _, _ := strings.Cut(string(out), "50% Complete\n") // where the job reports that it is half done
	return result, err
}

// waitFor waits until a condition holds.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s within a minute", what)
		}
	}
}

// writeFiles puts files below a new directory, with the page's path /app replaced by it.
func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(content, "/app/", dir+"/")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestPECLWorker runs a worker of GearmanManager's PECL mode as the page's pool runs it.
func TestPECLWorker(t *testing.T) {
	t.Parallel()
	need(t, "php", "php-cli")
	need(t, "gearman", "gearman-tools")
	dir := writeFiles(t, map[string]string{
		"GearmanStream.php":         read(t, "examples/php/GearmanStream.php"),
		"gearmanmanager/loader.php": read(t, "examples/php/gearmanmanager/loader.php"),
		"workers/resize.php": `<?php
function resize($job, &$log) {
    $log[] = 'got ' . $job->workloadSize() . ' bytes';
    $job->sendStatus(1, 2);
    return strrev($job->workload());
}
`,
	})
	var pool v1alpha1.GearmanWorkerPool
	if err := yaml.UnmarshalStrict(
		[]byte(block(t, "docs/howto/from-gearmanmanager.md", "yaml", "gearmanmanager/loader.php")), &pool,
	); err != nil {
		t.Fatal(err)
	}
	args := []string{"stream", "--function=" + string(pool.Spec.Function), "--"}
	for _, word := range pool.Spec.Runtime.Stream.Command {
		args = append(args, strings.Replace(word, "/app/", dir+"/", 1))
	}
	addr, log := startWorker(t, dir, args...)
	if got, err := submit(t, addr, "resize", "abc"); err != nil || got != "cba" {
		t.Errorf("result = %q, %v", got, err)
	}
	waitFor(t, "line of the function's own log", func() bool { return strings.Contains(log.String(), "got 3 bytes") })
}

func TestNewPHPCode(t *testing.T) {
	t.Parallel()
	need(t, "php", "php-cli")
	need(t, "gearman", "gearman-tools")
	dir := writeFiles(t, map[string]string{
		"GearmanStream.php": read(t, "examples/php/GearmanStream.php"),
		"worker.php":        "<?php\n" + block(t, "docs/php.md", "php", "$job->status(1, 2);"),
	})
	addr, _ := startWorker(t, dir, "stream", "--function=reverse", "--", "php", "worker.php")
	if got, err := submit(t, addr, "reverse", "abc"); err != nil || got != "cba" {
		t.Errorf("result = %q, %v", got, err)
	}
}

// TestWorkerOptionsOfThePages: gearman-worker knows each option that the pages on PHP name.
func TestWorkerOptionsOfThePages(t *testing.T) {
	t.Parallel()
	known := map[string]bool{
		"--path": true, "--prefix": true, "--init": true, "--bootstrap": true, "--job-retries": true, "--name": true,
		"--all": true, "--pear": true, "--include": true, "--exclude": true, "--server": true,
	}
	for _, match := range regexp.MustCompile("(?m)^\\| `(--[a-z-]+)`").FindAllStringSubmatch(read(t, "docs/runtime.md"), -1) {
		known[match[1]] = true
	}
	if len(known) < 25 {
		t.Fatalf("%d options known only", len(known))
	}
	for _, page := range []string{"docs/php.md", "docs/howto/from-gearmanmanager.md", "docs/howto/python.md"} {
		for _, option := range regexp.MustCompile("`[^`\n]*`").FindAllString(read(t, page), -1) {
			for _, name := range regexp.MustCompile(`--[a-z][a-z-]+`).FindAllString(option, -1) {
				if !known[name] {
					t.Errorf("%s names %s, which gearman-worker does not have", page, name)
				}
			}
		}
	}
}
