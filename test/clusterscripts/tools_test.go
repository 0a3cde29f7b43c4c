package clusterscripts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestMain also replaces the tools: they are links to the test's own program, with their names.
func TestMain(m *testing.M) {
	if name := filepath.Base(os.Args[0]); tools[name] != nil {
		os.Exit(standIn(name, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// A command is one way to call a tool: its flags, whether they need a value, and the number of its
// arguments.
type command struct {
	flags map[string]bool
	args  int
}

// tools are the commands that the scripts use, according to the real tools: kind 0.33.0 by the help
// of a built one, minikube and k3d by their documentation.
var tools = map[string]map[string]command{
	"kind": {
		"create cluster": {
			flags: map[string]bool{
				"--name": true, "-n": true, "--kubeconfig": true, "--wait": true, "--image": true, "--config": true,
				"--retain": false,
			},
		},
		"delete cluster": {flags: map[string]bool{"--name": true, "-n": true, "--kubeconfig": true}},
		"get clusters":   {},
		"export kubeconfig": {
			flags: map[string]bool{"--name": true, "-n": true, "--kubeconfig": true, "--internal": false},
		},
		"load image-archive": {flags: map[string]bool{"--name": true, "-n": true, "--nodes": true}, args: 1},
	},
	"minikube": {"image load": {args: 1}},
	"k3d":      {"image import": {flags: map[string]bool{"--cluster": true, "-c": true}, args: 1}},
	"kubectl":  {"config current-context": {}},
}

const (
	callsEnv    = "STAND_IN_CALLS"    // the file that calls are written to
	clustersEnv = "STAND_IN_CLUSTERS" // the file with the names of kind's clusters
	contextEnv  = "STAND_IN_CONTEXT"  // the current context
)

// standIn acts as a tool, and returns its exit code.
func standIn(name string, args []string) int {
	refuse := func(format string, a ...any) int {
		fmt.Fprintf(os.Stderr, "ERROR: "+format+"\n", a...)
		return 1
	}
	log, err := os.OpenFile(os.Getenv(callsEnv), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return refuse("%v", err)
	}
	defer log.Close()
	fmt.Fprintln(log, name, strings.Join(args, " "))
	if len(args) < 2 {
		return refuse("%s %v: no command", name, args)
	}
	c, known := tools[name][args[0]+" "+args[1]]
	if !known {
		return refuse("unknown command %q for %q", strings.Join(args[:2], " "), name)
	}
	flags, rest := map[string]string{}, []string(nil)
	for words := args[2:]; len(words) > 0; words = words[1:] {
		word := words[0]
		if !strings.HasPrefix(word, "-") {
			rest = append(rest, word)
			continue
		}
		flag, value, inline := strings.Cut(word, "=")
		wants, known := c.flags[flag]
		switch {
		case !known:
			return refuse("unknown flag: %s", flag)
		case wants && !inline && len(words) == 1:
			return refuse("flag needs an argument: %s", flag)
		case wants && !inline:
			words = words[1:]
			value = words[0]
		}
		flags[flag] = value
	}
	if len(rest) != c.args {
		return refuse("accepts %d arg(s), received %d", c.args, len(rest))
	}
	for _, file := range rest {
		if _, err := os.Stat(file); err != nil {
			return refuse("%v", err)
		}
	}
	if name == "kind" {
		return kind(args[0]+" "+args[1], flags, refuse)
	}
	if name == "kubectl" {
		fmt.Println(os.Getenv(contextEnv))
	}
	return 0
}

// kind keeps its clusters in a file.
func kind(command string, flags map[string]string, refuse func(string, ...any) int) int {
	file := os.Getenv(clustersEnv)
	data, err := os.ReadFile(file)
	if err != nil {
		return refuse("failed to list clusters: %v", err) // as if no container engine runs
	}
	clusters := strings.Fields(string(data))
	name := flags["--name"]
	exists := slices.Contains(clusters, name)
	switch command {
	case "get clusters":
		if len(clusters) == 0 {
			fmt.Fprintln(os.Stderr, "No kind clusters found.")
			return 0
		}
		fmt.Println(strings.Join(clusters, "\n"))
	case "create cluster":
		if exists {
			return refuse("node(s) already exist for a cluster with the name %q", name)
		}
		clusters = append(clusters, name)
	case "delete cluster":
		// no error if the cluster does not exist
		clusters = slices.DeleteFunc(clusters, func(c string) bool { return c == name })
	default:
		if !exists {
			return refuse("could not locate any control plane nodes for cluster named %q", name)
		}
	}
	if command == "create cluster" || command == "export kubeconfig" {
		if err := os.WriteFile(flags["--kubeconfig"], []byte("kind: Config # of "+name+"\n"), 0o600); err != nil {
			return refuse("%v", err)
		}
	}
	if err := os.WriteFile(file, []byte(strings.Join(clusters, "\n")+"\n"), 0o600); err != nil {
		return refuse("%v", err)
	}
	return 0
}

// A machine is where the scripts run: a PATH of its own, a cache, and the installed stand-ins.
type machine struct {
	t     *testing.T
	cache string
	calls string
	env   []string
}

const scripts = "../../hack/cluster"

// newMachine returns a machine with the usual programs that the scripts use, and these tools. It
// lacks one thing that a local cluster needs: a kernel named Linux.
func newMachine(t *testing.T, installed ...string) *machine {
	t.Helper()
	bin, home := t.TempDir(), t.TempDir()
	link := func(target, name string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{
		"bash", "env", "dirname", "basename", "mkdir", "grep", "sed", "cut", "sha256sum", "cat", "id", "awk", "date",
		"flock", "tr", "rm", "head",
	} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		link(path, name)
	}
	// This rules out a local cluster on every machine that runs the tests.
	if err := os.WriteFile(
		filepath.Join(bin, "uname"), []byte("#!"+filepath.Join(bin, "bash")+"\necho Other\n"), 0o700,
	); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range installed {
		link(self, name)
	}
	m := &machine{t: t, cache: filepath.Join(home, "cache"), calls: filepath.Join(home, "calls")}
	m.env = []string{
		"PATH=" + bin, "HOME=" + home, "CACHE=" + m.cache, callsEnv + "=" + m.calls,
		clustersEnv + "=" + filepath.Join(home, "clusters"),
	}
	m.clusters("other")
	return m
}

// clusters sets which clusters kind has.
func (m *machine) clusters(names ...string) {
	m.t.Helper()
	file := m.getenv(clustersEnv)
	if err := os.WriteFile(file, []byte(strings.Join(names, "\n")), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) getenv(name string) string {
	for _, kv := range slices.Backward(m.env) {
		if k, v, _ := strings.Cut(kv, "="); k == name {
			return v
		}
	}
	return ""
}

// run runs a script with more environment, "NAME=value" first and then the arguments, and returns
// its output and the calls of tools since the last run.
func (m *machine) run(words ...string) (stdout, stderr string, calls []string, ok bool) {
	m.t.Helper()
	env := slices.Clone(m.env)
	for strings.Contains(words[0], "=") {
		env, words = append(env, words[0]), words[1:]
	}
	cmd := exec.CommandContext(m.t.Context(), filepath.Join(scripts, words[0]), words[1:]...)
	var out, errs strings.Builder
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &out, &errs
	err := cmd.Run()
	data, readErr := os.ReadFile(m.calls)
	if readErr != nil && !os.IsNotExist(readErr) {
		m.t.Fatal(readErr)
	}
	if readErr == nil {
		calls = strings.Split(strings.TrimSpace(string(data)), "\n")
		if err := os.Remove(m.calls); err != nil {
			m.t.Fatal(err)
		}
	}
	return strings.TrimSpace(out.String()), errs.String(), calls, err == nil
}
