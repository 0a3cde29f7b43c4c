package docs

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// picture returns a PNG of this size.
func picture(t *testing.T, width, height int) string {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for x := range width {
		img.Set(x, x%height, color.RGBA{R: uint8(x), G: 128, B: 200, A: 255})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestThumbnailsExample: the pool of thumbnails makes small JPEGs of large and small pictures, and
// fails a job whose workload is not a picture.
func TestThumbnailsExample(t *testing.T) {
	t.Parallel()
	need(t, "convert", "imagemagick")
	need(t, "gearman", "gearman-tools")
	var pool v1alpha1.GearmanWorkerPool
	if err := yaml.UnmarshalStrict([]byte(read(t, "examples/public/thumbnails.yaml")), &pool); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"exec", "--function=thumbnail", "--"}, pool.Spec.Runtime.Exec.Command...)
	addr, _ := startWorker(t, t.TempDir(), args...)
	tests := map[string]struct{ width, height, wantWidth, wantHeight int }{
		"landscape": {1280, 640, 320, 160},
		"portrait":  {300, 600, 160, 320},
		"small":     {40, 30, 40, 30}, // never enlarged
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := submit(t, addr, "thumbnail", picture(t, tt.width, tt.height))
			if err != nil {
				t.Fatal(err)
			}
			config, err := jpeg.DecodeConfig(strings.NewReader(result))
			if err != nil || config.Width != tt.wantWidth || config.Height != tt.wantHeight {
				t.Errorf("%d x %d, %v; want %d x %d", config.Width, config.Height, err, tt.wantWidth, tt.wantHeight)
			}
		})
	}
	t.Run("no picture", func(t *testing.T) {
		t.Parallel()
		if _, err := submit(t, addr, "thumbnail", "this is no picture"); err == nil {
			t.Error("the job did not fail")
		}
	})
}

// TestTypeScriptExample runs the program of the TypeScript example with the pool's command, without
// its types, as Node.js runs it.
func TestTypeScriptExample(t *testing.T) {
	t.Parallel()
	need(t, "esbuild", "esbuild")
	need(t, "node", "nodejs")
	need(t, "gearman", "gearman-tools")
	var pool v1alpha1.GearmanWorkerPool
	app := objects(t, "typescript.yaml", &pool)
	source := filepath.Join(app, "worker.mts")
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	// Node.js only removes types. Syntax that needs generated code is an error there, but not for
	// esbuild.
	for _, word := range []string{"enum ", "namespace ", "private ", "public ", "import type", "= require("} {
		if strings.Contains(string(text), "\n"+word) || strings.Contains(string(text), "("+word) {
			t.Errorf("worker.mts has %q, which Node.js does not run", word)
		}
	}
	out, err := exec.CommandContext(
		t.Context(), "esbuild", "--loader:.mts=ts", "--format=esm", "--outfile="+filepath.Join(app, "worker.mjs"),
		source,
	).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	args := []string{"stream", "--function=order-total", "--"}
	for _, word := range pool.Spec.Runtime.Stream.Command {
		word = strings.Replace(word, "/app/", app+"/", 1)
		args = append(args, strings.Replace(word, "worker.mts", "worker.mjs", 1))
	}
	addr, _ := startWorker(t, app, args...)
	got, err := submit(t, addr, "order-total", `[{"name": "pear", "price": 3, "count": 4}, {"name": "fig", "price": 5, "count": 1}]`)
	if err != nil || strings.TrimSpace(got) != `{"items":5,"total":17}` {
		t.Errorf("result = %q, %v", got, err)
	}
	if _, err := submit(t, addr, "order-total", `{"name": "pear"}`); err == nil {
		t.Error("a workload that is no list did not fail the job")
	}
}

// TestDjangoSnippet runs the snippet for Django on the page of Python unchanged, with a project
// that has the names it imports.
func TestDjangoSnippet(t *testing.T) {
	t.Parallel()
	const python = "/usr/bin/python3" // Debian's own, since Debian's Django is for it
	if err := exec.CommandContext(t.Context(), python, "-c", "import django").Run(); err != nil {
		// skips, or fails if all languages must be installed
		need(t, "/usr/share/doc/python3-django/django", "python3-django")
		t.Fatalf("%s can't import django: %v", python, err)
	}
	need(t, "gearman", "gearman-tools")
	dir := writeFiles(t, map[string]string{
		"gearman_stream.py": read(t, "examples/python/gearman_stream.py"),
		"worker.py":         block(t, "docs/howto/python.md", "python", "import django"),
		"shop/__init__.py":  "",
		"shop/settings.py": "SECRET_KEY = 'test'\nINSTALLED_APPS = ['django.contrib.contenttypes', 'django.contrib.auth']\n" +
			"DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': ':memory:'}}\n",
		// It uses the models and the database, which Django refuses before django.setup().
		"shop/reports.py": "from django.contrib.auth.models import User\nfrom django.db import connection\n\n\n" +
			"def build_report(name):\n    with connection.cursor() as cursor:\n        cursor.execute('select 6 * 7')\n" +
			"        return f'{name} {User.__name__} {cursor.fetchone()[0]}'\n",
	})
	addr, _ := startWorker(t, dir, "stream", "--function=report", "--", python, "worker.py")
	for range 2 { // the second job uses the connections that the first left
		if got, err := submit(t, addr, "report", "sales"); err != nil || got != "sales User 42" {
			t.Errorf("result = %q, %v", got, err)
		}
	}
}
