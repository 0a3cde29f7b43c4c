package gearmanctl

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/policy"
	"github.com/gearman-operator/gearman-operator/internal/poolfile"
)

// Every call of gearmanctl in the docs is one that it understands: its command, flags and number of
// arguments.
func TestCallsOfTheDocs(t *testing.T) {
	t.Parallel()
	var files []string
	for _, pattern := range []string{
		"README.md", "docs/*.md", "docs/howto/*.md", "examples/*.md", "examples/*/README.md",
	} {
		found, err := filepath.Glob(filepath.Join("..", "..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	call := regexp.MustCompile("(?m)(?:^ *|`)gearmanctl ([^`\n#]+)")
	total := 0
	for _, file := range files {
		page, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range call.FindAllStringSubmatch(string(page), -1) {
			words := strings.Fields(match[1])
			if words[len(words)-1] == "..." || !regexp.MustCompile(`^[a-z]+$`).MatchString(words[0]) {
				words = words[:1]
			}
			total++
			root := newCommand(streams{strings.NewReader(""), io.Discard, io.Discard})
			command, rest, err := root.Find(words)
			if err == nil && command == root {
				t.Errorf("%s: gearmanctl %s: there is no such command", file, match[1])
				continue
			}
			if err == nil {
				err = command.ParseFlags(rest)
			}
			if err == nil && command.Flags().NArg() > 0 { // prose may name a command without its arguments
				err = command.ValidateArgs(command.Flags().Args())
			}
			if err != nil {
				t.Errorf("%s: gearmanctl %s: %v", file, match[1], err)
			}
		}
	}
	if total < 6 {
		t.Errorf("%d calls found only", total)
	}
}

// parse checks the arguments of gearmanctl.
func parse(t *testing.T, words []string) {
	t.Helper()
	root := newCommand(streams{strings.NewReader(""), io.Discard, io.Discard})
	command, rest, err := root.Find(words)
	if err == nil && command != root {
		err = command.ParseFlags(rest)
	}
	if err != nil || command == root {
		t.Fatalf("gearmanctl %s: %v", strings.Join(words, " "), err)
	}
	if err := command.ValidateArgs(command.Flags().Args()); err != nil {
		t.Errorf("gearmanctl %s: %v", strings.Join(words, " "), err)
	}
}

// The compose file names files that are there, flags that gearmanctl has, and a time to stop in
// which workers can finish.
func TestComposeExample(t *testing.T) {
	t.Parallel()
	const dir = "../../examples/compose"
	data, err := os.ReadFile(filepath.Join(dir, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	type service struct {
		Build           struct{ Context, Dockerfile, Target string } `json:"build"`
		Command         []string                                     `json:"command"`
		Ports           []string                                     `json:"ports"`
		Volumes         []string                                     `json:"volumes"`
		DependsOn       []string                                     `json:"depends_on"`
		Init            bool                                         `json:"init"`
		Restart         string                                       `json:"restart"`
		StopGracePeriod string                                       `json:"stop_grace_period"`
	}
	var file struct {
		Services map[string]service `json:"services"`
	}
	if err := yaml.UnmarshalStrict(data, &file); err != nil {
		t.Fatal(err)
	}
	for name, s := range file.Services {
		dockerfile, err := os.ReadFile(filepath.Join(dir, s.Build.Context, s.Build.Dockerfile))
		if err != nil || !strings.Contains(string(dockerfile), " AS "+s.Build.Target+"\n") {
			t.Errorf("%s: %v; the Dockerfile has no stage %s", name, err, s.Build.Target)
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s: port %s is open to others", name, port)
			}
		}
	}
	pools := file.Services["pools"]
	parse(t, pools.Command)
	from, to, _ := strings.Cut(strings.TrimSuffix(pools.Volumes[0], ":ro"), ":")
	grace, err := time.ParseDuration(pools.StopGracePeriod)
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, word := range pools.Command {
		name, isPool := strings.CutPrefix(word, to+"/")
		if !isPool {
			continue
		}
		content, err := poolfile.Read(filepath.Join(dir, from, name), poolfile.Options{NoImage: true})
		if err != nil {
			t.Fatal(err)
		}
		for i := range content.Pools {
			spec := &content.Pools[i].Spec
			checked++
			for _, server := range policy.Servers(spec) {
				host, _, _ := strings.Cut(server, ":")
				if _, ok := file.Services[host]; !ok {
					t.Errorf("%s: the job server %s is no service", name, server)
				}
			}
			if drain := time.Duration(policy.DrainSeconds(spec)) * time.Second; grace < drain+15*time.Second {
				t.Errorf("%s: workers may take %s to stop, the container %s", name, drain, grace)
			}
		}
	}
	if checked == 0 {
		t.Error("the command names no pool")
	}
}

// The unit calls gearmanctl with flags that it has, and gives workers the time to finish that a
// pool has by default.
func TestSystemdUnit(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../examples/systemd/gearmanctl.service")
	if err != nil {
		t.Fatal(err)
	}
	call := regexp.MustCompile(`(?m)^ExecStart=/bin/sh -c 'exec /usr/local/bin/gearmanctl (.*)'$`).FindSubmatch(data)
	if call == nil {
		t.Fatal("the unit calls no gearmanctl")
	}
	parse(t, strings.Fields(string(call[1])))
	var stop int32
	if found := regexp.MustCompile(`(?m)^TimeoutStopSec=([0-9]+)$`).FindSubmatch(data); found != nil {
		n, err := strconv.ParseInt(string(found[1]), 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		stop = int32(n)
	}
	if drain := policy.DrainSeconds(
		&v1alpha1.GearmanWorkerPoolSpec{Runtime: &v1alpha1.RuntimeSpec{}},
	); stop < drain+15 {
		t.Errorf("TimeoutStopSec is %d, but workers may take %d s to stop", stop, drain)
	}
}
