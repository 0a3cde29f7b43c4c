package apiserver

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/test/controlplane"
)

// commandBlock matches a block of commands of a page, also within a list. The second form is
// indented.
var commandBlock = regexp.MustCompile("(?ms)^ *```(?:sh|console)\n(.*?)^ *```$|(?:^    (?:kubectl|php) [^\n]*\n)+")

// apiCommands returns the commands of a page that an API server can answer: plain kubectl (not its
// plugins gearman and krew), `kubectl gearman import` and the commands that prepare it, and
// `kubectl gearman explain` of the existing pool. Each string is a script of one block.
func apiCommands(page string) (scripts []string) {
	wanted := regexp.MustCompile(`^(kubectl (gearman import |gearman explain thumbnails|[a-fh-jl-z]|ku|get )|php |cd certificates$|examples/gearmand-tls-certificates\.sh )`)
	for _, block := range commandBlock.FindAllStringSubmatch(page, -1) {
		text := block[1]
		if text == "" {
			text = block[0]
		}
		var script strings.Builder
		for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
			line, _, _ = strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "$ "), "  #")
			line = strings.TrimSuffix(strings.TrimSpace(line), " -w") // a watch has no end
			if wanted.MatchString(line) {
				script.WriteString(line + "\n")
			}
		}
		if script.Len() > 0 {
			scripts = append(scripts, script.String())
		}
	}
	return scripts
}

// kubectlFunction replaces kubectl. Commands that change something run with --dry-run=server, but
// namespaces are created, since later commands need them. Objects that only the reader's cluster
// has may be missing, but the API server must know their kind. Commands that wait for pods, or read
// from them, are left to make quickstart, which has a kubelet.
const kubectlFunction = `set -euo pipefail
export EDITOR=true
kubectl() {
	local out code=0
	case $1 in
		create) if [[ $2 == namespace ]]; then command kubectl get namespace "$3" >/dev/null 2>&1 || command kubectl create namespace "$3"; return; fi ;;
		rollout | wait | logs | exec | port-forward | top | cp | debug | drain | cordon | uncordon) return ;;
	esac
	case $1 in
		create | apply | delete | patch | scale | annotate | label) [[ " $* " == *" --dry-run=server "* ]] || set -- "$@" --dry-run=server ;;
	esac
	case $1 in
		get | describe | edit | delete | patch | scale | annotate | label)
			out=$(command kubectl "$@" 2>&1) || code=$?
			echo "$out"
			[[ $out == *"(NotFound)"* ]] || return "$code"
			;;
		*) command kubectl "$@" ;;
	esac
}
`

// TestKubectlCommandsOfTheDocs runs the commands of the pages that only need an API server
// unchanged, in the order of each block. The pools that they name exist.
func TestKubectlCommandsOfTheDocs(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("php"); err != nil && os.Getenv("GEARMAN_TEST_ALL_LANGUAGES") == "" {
		t.Skip("php is not installed: apt-get install php-cli")
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if out, err := exec.CommandContext(
		t.Context(), "go", "build", "-o", filepath.Join(bin, "kubectl-gearman"), root+"/cmd/kubectl-gearman",
	).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	home := commandsHome(t)
	ran := 0
	for _, part := range []string{"README.md", "docs", "examples/README.md", "charts/gearman-operator/README.md"} {
		err := filepath.WalkDir(filepath.Join(root, part), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".md" {
				return err
			}
			page, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			scripts, dir := apiCommands(string(page)), commandsDir(t, root)
			for _, script := range scripts {
				ran += strings.Count(script, "\n")
				cmd := exec.CommandContext(t.Context(), "bash", "-c", kubectlFunction+script)
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "HOME="+home, "KUBECONFIG="+filepath.Join(home, "config"),
					"PATH="+bin+":"+os.Getenv(controlplane.Assets)+":"+os.Getenv("PATH"))
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s: %v in\n%s\n%s", strings.TrimPrefix(path, root+"/"), err, script, out)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if ran < 25 {
		t.Errorf("%d commands run only", ran)
	}
}

// commandsHome returns a home directory with a kubeconfig whose namespace has the pool that the
// README's commands name.
func commandsHome(t *testing.T) string {
	t.Helper()
	home, ns := t.TempDir(), namespace(t)
	data, err := os.ReadFile(adminKubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(home, "config")
	if err := os.WriteFile(config, data, 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl := filepath.Join(os.Getenv(controlplane.Assets), "kubectl")
	args := []string{"--kubeconfig=" + config, "config", "set-context", "--current", "--namespace=" + ns}
	if out, err := exec.CommandContext(t.Context(), kubectl, args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"gearman-demo", "jobs"} {
		err := k8s.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
		if client.IgnoreAlreadyExists(err) != nil {
			t.Fatal(err)
		}
	}
	p := pool(ns)
	p.Name = "thumbnails"
	if err := k8s.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return home
}

// commandsDir returns a directory with the files that the pages' commands read: parts of the
// repository, and the files of a reader who migrates.
func commandsDir(t *testing.T, root string) string {
	t.Helper()
	dir := t.TempDir()
	for _, part := range []string{"examples", "charts", "config"} {
		if err := os.Symlink(filepath.Join(root, part), filepath.Join(dir, part)); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string]string{
		"manager.ini": "[GearmanManager]\nhost=old.example.com\ncount=4\nmax_worker_lifetime=1800\n\n[resize]\ndedicated_count=2\n\n[send_mail]\n",
		"config.php": `<?php
$gearman_config = ['GearmanManager' => ['host' => 'old.example.com', 'count' => 4], 'resize' => ['dedicated_count' => 2]];
`,
		"supervisord.conf": "[program:mailer]\ncommand=php /app/mailer.php\nnumprocs=4\nstopwaitsecs=60\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
