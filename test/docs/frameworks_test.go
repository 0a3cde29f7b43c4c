package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// frameworks are the examples that need a PHP framework: how to detect that it is installed, its
// Debian package, and the class that docs/php.md shows.
var frameworks = map[string]struct{ probe, deb, class string }{
	"symfony": {
		"Symfony/Component/Messenger/autoload.php",
		"php-symfony-console php-symfony-messenger php-symfony-framework-bundle", "src/Command/GearmanCommand.php",
	},
	"laravel": {"Illuminate/autoload.php", "php-laravel-framework", "app/Console/Commands/Gearman.php"},
}

// TestFrameworkExamples runs the classes of examples/symfony and examples/laravel in an application
// of Debian's packages, with the commands of their pools: one process for each job, and one that
// keeps running.
func TestFrameworkExamples(t *testing.T) {
	t.Parallel()
	need(t, "php", "php-cli")
	need(t, "gearman", "gearman-tools")
	for name, framework := range frameworks {
		if err := exec.CommandContext(
			t.Context(), "php", "-r", "exit((int) (stream_resolve_include_path($argv[1]) === false));", framework.probe,
		).Run(); err != nil {
			need(t, filepath.Join("/usr/share/php", framework.probe), framework.deb)
			t.Fatalf("php does not find %s: %v", framework.probe, err)
		}
		pools := 0
		for text := range strings.SplitSeq(read(t, "examples/"+name+".yaml"), "\n---\n") {
			var pool v1alpha1.GearmanWorkerPool
			if err := yaml.UnmarshalStrict([]byte(text), &pool); err != nil {
				t.Fatal(err)
			}
			pools++
			t.Run(pool.Name, func(t *testing.T) {
				t.Parallel()
				app := t.TempDir()
				for _, from := range []string{"test/images/" + name, "examples/" + name} {
					if err := os.CopyFS(app, os.DirFS(filepath.Join(root, from))); err != nil {
						t.Fatal(err)
					}
				}
				client := read(t, "examples/php/GearmanStream.php")
				if err := os.WriteFile(filepath.Join(app, "GearmanStream.php"), []byte(client), 0o644); err != nil {
					t.Fatal(err)
				}
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
				for range 2 { // the second job finds what the first has left
					if got, err := submit(t, addr, string(pool.Spec.Function), `{"apple": 2, "pear": 1}`); err != nil || got != `{"total":135}` {
						t.Errorf("result = %q, %v", got, err)
					}
				}
				if _, err := submit(t, addr, string(pool.Spec.Function), `{"stone": 1}`); err == nil {
					t.Error("an order for an unknown article does not fail the job")
				}
			})
		}
		if pools != 2 {
			t.Errorf("examples/%s.yaml has %d pools, want one for each job and one that keeps running", name, pools)
		}
	}
}

// TestFrameworksOfThePHPPage: docs/php.md shows the command of each framework as the example has
// it.
func TestFrameworksOfThePHPPage(t *testing.T) {
	t.Parallel()
	for name, framework := range frameworks {
		shown := block(t, "docs/php.md", "php", "namespace App\\")
		if name == "laravel" {
			shown = block(t, "docs/php.md", "php", "namespace App\\Console")
		}
		_, class, _ := strings.Cut(read(t, "examples/"+name+"/"+framework.class), "<?php\n\n")
		if shown != class {
			t.Errorf("docs/php.md shows another examples/%s/%s:\n%s", name, framework.class, shown)
		}
	}
}
