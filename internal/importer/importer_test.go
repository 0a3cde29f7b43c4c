package importer

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// golden are the files of testdata, each next to its result. UPDATE_GOLDEN=1 writes the latter.
func golden(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"gearmanmanager/*.ini", "gearmanmanager/*.json", "supervisor/*.conf"} {
		files, err := filepath.Glob("testdata/" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, files...)
	}
	if len(all) < 20 {
		t.Fatalf("%d configurations only", len(all))
	}
	return all
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for _, file := range golden(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			o := Options{File: filepath.Base(file)}
			switch o.File {
			case "phponly.json":
				o.PEAR, o.Image, o.Servers = true, "registry.example.com/php:2", []string{"gearmand.jobs.svc"}
			case "symfony.conf":
				o.Functions = []string{"messenger-gearman=orders", "messenger-gearman=mails"}
			}
			r, err := Import(data, o)
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.YAML()
			if err != nil {
				t.Fatal(err)
			}
			expected := file + ".yaml"
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(expected, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(expected)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", expected, diff)
			}
			checkPools(t, got, r.Pools())
		})
	}
}

// checkPools decodes the result strictly, and checks what every import must satisfy.
func checkPools(t *testing.T, out []byte, pools int) {
	t.Helper()
	names := map[string]bool{}
	for document := range strings.SplitSeq(string(out), "\n---\n") {
		var p v1alpha1.GearmanWorkerPool
		if err := yaml.UnmarshalStrict([]byte(document), &p); err != nil {
			t.Errorf("%v in\n%s", err, document)
			continue
		}
		if names[p.Name] {
			t.Errorf("two pools are named %s", p.Name)
		}
		names[p.Name] = true
		if raw := p.Spec.PodTemplate; raw != nil {
			if err := yaml.UnmarshalStrict(raw.Raw, &corev1.PodTemplateSpec{}); err != nil {
				t.Errorf("podTemplate of %s: %v", p.Name, err)
			}
		}
		if p.Spec.MaxReplicas < 1 || len(p.Spec.Servers) == 0 || p.Spec.Image == "" {
			t.Errorf("pool %s can't run: %+v", p.Name, p.Spec)
		}
	}
	if len(names) != pools {
		t.Errorf("%d pools, want %d", len(names), pools)
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "#") && len(line) > 101 && strings.Contains(line[2:], " ") &&
			len(strings.Fields(line)) > 3 {
			t.Errorf("a comment of %d columns: %s", len(line)-1, line)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		file string
		o    Options
		want string
	}{
		"empty": {"\n", Options{}, "f: the file is empty"},
		"PHP":   {"<?php\n$gearman_config = [];", Options{}, "json_encode($gearman_config)"},
		"neither": {
			"[a]\nb=1", Options{}, "neither a section [GearmanManager] nor a section [program:NAME]",
		},
		"another format":   {"[a]\nb=1", Options{Format: "upstart"}, `must be gearmanmanager or supervisor, not "upstart"`},
		"no INI":           {"[GearmanManager]\nnonsense", Options{}, "not an INI file"},
		"no JSON":          {"{\"a\": ", Options{}, "not JSON"},
		"a list":           {"{\"a\": [1]}", Options{}, "a must be an object"},
		"an object within": {"{\"a\": {\"b\": {\"c\": 1}}}", Options{}, "a.b must be a value or a list"},
		"not a number":     {"[GearmanManager]\ncount=many\n[f]", Options{}, `[GearmanManager] count must be a whole number, not "many"`},
		"negative":         {"[GearmanManager]\n[f]\ncount=-1", Options{}, "[f] count must be a whole number"},
		"a number of a function": {
			"[GearmanManager]\n[f]\ndedicated_count=x", Options{}, "[f] dedicated_count must",
		},
		"a number for all": {"[GearmanManager]\ndedicated_count=x\n[f]", Options{}, "dedicated_count must"},
		"a lifetime": {
			"[GearmanManager]\nmax_worker_lifetime=1h\n[f]", Options{}, "max_worker_lifetime must",
		},
		"runs": {
			"[GearmanManager]\nmax_runs_per_worker=x\n[f]\ncount=2", Options{}, "max_runs_per_worker must",
		},
		"a wait": {
			"[GearmanManager]\ngraceful_shutdown_wait_time=x\n[f]", Options{}, "graceful_shutdown_wait_time must",
		},
		"dedicated to nobody": {
			"[GearmanManager]\n[f]\ndedicated_only=1", Options{}, "dedicated_only without dedicated_count",
		},
		"no function":               {"[GearmanManager]\ncount=3", Options{}, "names no function"},
		"a function with a blank":   {"[GearmanManager]\n[a b]", Options{}, "can't be a Gearman function"},
		"a key before all sections": {"a=1\n[GearmanManager]\n[f]", Options{}, "a stands before the first section"},
		"no program":                {"[supervisord]\nnodaemon=true", Options{}, "no [program:NAME] section"},
		"no command":                {"[program:a]\nnumprocs=2", Options{}, "[program:a] has no command"},
		"an open quote": {
			"[program:a]\ncommand=sh -c 'x", Options{}, "[program:a] command: a quote is not closed",
		},
		"bad numprocs":     {"[program:a]\ncommand=a\nnumprocs=x", Options{}, "numprocs must"},
		"bad stopwaitsecs": {"[program:a]\ncommand=a\nstopwaitsecs=x", Options{}, "stopwaitsecs must"},
		"bad environment": {
			"[program:a]\ncommand=a\nenvironment=A", Options{}, "[program:a] environment: want KEY=",
		},
		"an open value": {
			"[program:a]\ncommand=a\nenvironment=A=\"x", Options{}, "the value of A has no closing quote",
		},
		"a function of no program": {
			"[program:a]\ncommand=a", Options{Functions: []string{"b=f"}}, "there is no [program:b]",
		},
		"a function without one": {"[program:a]\ncommand=a", Options{Functions: []string{"f"}}, "PROGRAM=FUNCTION"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.o.File = "f"
			r, err := Import([]byte(tt.file), tt.o)
			if err == nil {
				t.Fatalf("no error, but %d pools", r.Pools())
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestSplitWords(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{
		"a b":                 {"a", "b"},
		"  a\t 'b c' ":        {"a", "b c"},
		`a"b c"d`:             {"ab cd"},
		`a\ b`:                {"a b"},
		`"a\"b" "c\\d" "e\f"`: {`a"b`, `c\d`, `e\f`},
		`'a\b'`:               {`a\b`},
		`"" ''`:               {"", ""},
		"":                    nil,
	}
	for line, want := range tests {
		got, err := splitWords(line)
		if err != nil {
			t.Errorf("%q: %v", line, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", line, diff)
		}
	}
	if _, err := splitWords(`a\`); err == nil {
		t.Error("a backslash at the end is accepted")
	}
}

func TestCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"manager.ini":        "[GearmanManager]\nworker_dir=./workers\nexclude=draft\n",
		"workers/resize.php": "<?php", "workers/mail.php": "<?php", "workers/draft.php": "<?php", "workers/README": "",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := func(stdin string, args ...string) (string, string, error) {
		cmd := NewCommand()
		var out, errs bytes.Buffer
		cmd.SetIn(strings.NewReader(stdin))
		cmd.SetOut(&out)
		cmd.SetErr(&errs)
		cmd.SetArgs(args)
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		err := cmd.Execute()
		return out.String(), errs.String(), err
	}
	// The functions are the worker directory's, as in GearmanManager.
	out, summary, err := run("", filepath.Join(dir, "manager.ini"), "--server=gearmand.jobs.svc")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out, "function: mail\n") || !strings.Contains(out, "function: resize\n") ||
		strings.Contains(out, "draft") {
		t.Errorf("the worker directory's functions are missing:\n%s", out)
	}
	if want := "2 pools, 0 settings not carried over (see the comments).\n"; summary != want {
		t.Errorf("summary = %q, want %q", summary, want)
	}
	if _, _, err := run("", filepath.Join(dir, "manager.ini"), "--no-worker-dir"); err == nil {
		t.Error("without the directory there is no function, and no error")
	}
	out, _, err = run("[program:a]\ncommand=a\n", "-")
	if err != nil || !strings.Contains(out, "name: a\n") {
		t.Errorf("from standard input: %v\n%s", err, out)
	}
	if _, _, err := run("", filepath.Join(dir, "missing.ini")); err == nil {
		t.Error("a file that does not exist is accepted")
	}
}

// For any input, the importer either returns an error or writes pools that decode strictly.
func FuzzImport(f *testing.F) {
	for _, pattern := range []string{
		"testdata/gearmanmanager/*.ini", "testdata/gearmanmanager/*.json", "testdata/supervisor/*.conf",
	} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Import(data, Options{File: "f"})
		if err != nil {
			return
		}
		out, err := r.YAML()
		if err != nil {
			t.Fatal(err)
		}
		for document := range strings.SplitSeq(string(out), "\n---\n") {
			if err := yaml.UnmarshalStrict([]byte(document), &v1alpha1.GearmanWorkerPool{}); err != nil {
				t.Errorf("%v in\n%s", err, document)
			}
		}
	})
}
