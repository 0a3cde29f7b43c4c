package docs

import (
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
)

// objects reads the ConfigMap of an example on a public image, and decodes the object that mounts
// it at /app into a value.
func objects(t *testing.T, name string, into any) (app string) {
	t.Helper()
	config, object, ok := strings.Cut(read(t, "examples/public/"+name), "\n---\n")
	if !ok {
		t.Fatalf("%s does not hold two objects", name)
	}
	var files corev1.ConfigMap
	if err := yaml.UnmarshalStrict([]byte(config+"\n"), &files); err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict([]byte(object), into); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for file, content := range files.Data {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestPublicExamples runs each example on a public image as its pool would run it, with the files
// of its ConfigMap.
func TestPublicExamples(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ program, deb, workload, want, bad string }{
		"shell.yaml":  {"sh", "dash", "a b\nc\n", `{"lines": 2, "words": 3, "bytes": 6}`, ""},
		"php.yaml":    {"php", "php-cli", `{"apple": 2, "pear": 1}`, `{"total":135}`, `{"stone": 1}`},
		"python.yaml": {"python3", "python3", "b a b", `[["b", 2], ["a", 1]]`, "?"},
		"node.yaml":   {"node", "nodejs", `{"a":1}`, "{\n  \"a\": 1\n}", "{"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			need(t, tt.program, tt.deb)
			need(t, "gearman", "gearman-tools")
			var pool v1alpha1.GearmanWorkerPool
			app := objects(t, name, &pool)
			var mode string
			var command []string
			if exec := pool.Spec.Runtime.Exec; exec != nil {
				mode, command = "exec", exec.Command
			} else {
				mode, command = "stream", pool.Spec.Runtime.Stream.Command
			}
			args := []string{mode, "--function=" + string(pool.Spec.Function), "--"}
			for _, word := range command {
				args = append(args, strings.Replace(word, "/app/", app+"/", 1))
			}
			addr, _ := startWorker(t, app, args...)
			if got, err := submit(t, addr, string(pool.Spec.Function), tt.workload); err != nil ||
				strings.TrimSpace(got) != tt.want {
				t.Errorf("result = %q, %v; want %q", got, err, tt.want)
			}
			if _, err := submit(t, addr, string(pool.Spec.Function), tt.bad); err == nil {
				t.Errorf("a bad workload does not fail the job")
			}
		})
	}
}

// TestPublicExamplesHoldTheClients: the ConfigMaps hold the clients of examples/ unchanged.
func TestPublicExamplesHoldTheClients(t *testing.T) {
	t.Parallel()
	for example, client := range map[string]string{
		"php.yaml": "php/GearmanStream.php", "python.yaml": "python/gearman_stream.py",
		"node.yaml":       "node/gearman-stream.js",
		"typescript.yaml": "node/gearman-stream.js",
	} {
		var pool v1alpha1.GearmanWorkerPool
		app := objects(t, example, &pool)
		got, err := os.ReadFile(filepath.Join(app, filepath.Base(client)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(read(t, "examples/"+client), string(got)); diff != "" {
			t.Errorf("examples/public/%s holds another examples/%s (-want +got):\n%s", example, client, diff)
		}
	}
}

// TestCronJobExample: the CronJob's program queues one job, and no second one while the first is
// queued.
func TestCronJobExample(t *testing.T) {
	t.Parallel()
	need(t, "python3", "python3")
	need(t, "gearadmin", "gearman-tools")
	var cronJob batchv1.CronJob
	app := objects(t, "cronjob.yaml", &cronJob)
	container := cronJob.Spec.JobTemplate.Spec.Template.Spec.Containers[0]
	server := jobserver.Gearmand(t)
	for range 2 {
		args := append([]string(nil), container.Command[1:]...)
		args[0] = strings.Replace(args[0], "/app/", app+"/", 1)
		cmd := exec.CommandContext(t.Context(), container.Command[0], args...)
		cmd.Env = append(os.Environ(), container.Env[0].Name+"="+server.Addr)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "queued as ") {
			t.Fatalf("%v: %s", err, out)
		}
	}
	host, port, err := net.SplitHostPort(server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	status, err := exec.CommandContext(t.Context(), "gearadmin", "-h", host, "-p", port, "--status").Output()
	if err != nil || !strings.Contains(string(status), "report\t1\t0\t0") {
		t.Errorf("%v, the queue is\n%s", err, status)
	}
}

// TestExampleCommand: `make example` knows each example that has something to run, and the public
// images that it needs.
func TestExampleCommand(t *testing.T) {
	t.Parallel()
	image := regexp.MustCompile(`(?m)^ *image: (\S+)`)
	found := 0
	for _, pattern := range []string{"examples/*.yaml", "examples/public/*.yaml"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			name := strings.TrimSuffix(strings.TrimPrefix(file, filepath.Join(root, "examples")+"/"), ".yaml")
			if strings.HasPrefix(name, "gearmand") { // the job servers that the others use
				continue
			}
			found++
			public := map[string]bool{}
			for _, match := range image.FindAllStringSubmatch(read(t, "examples/"+name+".yaml"), -1) {
				if !strings.HasSuffix(match[1], ":demo") {
					public[match[1]] = true
				}
			}
			out, err := exec.CommandContext(t.Context(), filepath.Join(root, "hack/example"), name, "--public").Output()
			if err != nil {
				t.Errorf("make example NAME=%s: %v", name, err)
			}
			if got := strings.Fields(string(out)); len(got) != len(public) || len(got) == 1 && !public[got[0]] {
				t.Errorf(
					"make example NAME=%s loads %v, and the example has %v", name, got,
					slices.Collect(maps.Keys(public)),
				)
			}
		}
	}
	if found < 14 {
		t.Errorf("%d examples found only", found)
	}
	if err := exec.CommandContext(
		t.Context(), filepath.Join(root, "hack/example"), "nowhere", "--public",
	).Run(); err == nil {
		t.Error("an example that does not exist is no error")
	}
}
