package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gearman-operator/gearman-operator/internal/sim"
)

func TestReadTrace(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   string
		want []sim.Job
		err  string
	}{
		"with names, out of order": {
			in:   "time_s,function,job_seconds\n105,b,2\n100,a,0.5\n",
			want: []sim.Job{{At: 0, Seconds: 0.5, Function: 1}, {At: 5, Seconds: 2}},
		},
		"counts and comments": {in: "# a trace\n1, a, 3, 2\n", want: []sim.Job{{Seconds: 3}, {Seconds: 3}}},
		"no jobs":             {in: "time_s,function,job_seconds\n", err: "has no jobs"},
		"too few fields": {
			in: "1,a\n", err: "line 1: want time_s,function,job_seconds[,count], got 2 fields",
		},
		"a time that is none":    {in: "1,a,1\nsoon,a,1\n", err: `line 2: time_s is "soon"`},
		"a negative length":      {in: "1,a,-1\n", err: `job_seconds is "-1"`},
		"a count beyond measure": {in: "1,a,1,1e12\n", err: `count is "1e12"`},
		"too many jobs":          {in: "1,a,1,5000000\n2,a,1,1\n", err: "more than 5000000 jobs"},
		"too long":               {in: "0,a,1\n1e9,a,1\n", err: "more than 30 days"},
		"broken quotes":          {in: "1,\"a,1\n", err: "quote"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, err := ReadTrace("trace.csv", strings.NewReader(tc.in))
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("error is %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, w.Jobs); diff != "" {
				t.Errorf("jobs (-want +got):\n%s", diff)
			}
		})
	}
}

const manifest = `
apiVersion: gearman.dev/v1alpha1
kind: GearmanWorkerPool
metadata: {name: thumbnails}
spec:
  servers: ["gearmand:4730"]
  function: resize
  image: example/resize
  minReplicas: 2
  maxReplicas: 7
  concurrency: 3
  scaling: {targetWaitSeconds: 45, pollSeconds: 2}
`

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestParse(t *testing.T) {
	t.Parallel()
	pool := write(t, "pool.yaml", manifest)
	trace := write(t, "trace.csv", "0,resize,1,10\n")
	other := write(t, "other.csv", "0,rotate,1\n")
	tests := map[string]struct {
		args []string
		err  string
	}{
		"pool and trace":      {args: []string{"-pool", pool, "-trace", trace}},
		"bench":               {args: []string{"-bench", "-seeds", "2"}},
		"nothing":             {err: "give either -workload or -trace"},
		"both":                {args: []string{"-workload", "steady", "-trace", trace}, err: "give either"},
		"an unknown workload": {args: []string{"-workload", "weekend"}, err: `there is no workload "weekend"; there are "steady"`},
		"a function too many": {args: []string{"-pool", pool, "-trace", other}, err: `jobs of "rotate", which`},
		"no such trace":       {args: []string{"-trace", "nowhere.csv"}, err: "nowhere.csv"},
		"no such pool": {
			args: []string{"-workload", "steady", "-pool", "nowhere.yaml"}, err: "nowhere.yaml",
		},
		"an unknown field":         {args: []string{"-workload", "steady", "-pool", write(t, "p.yaml", manifest+"  speed: 9\n")}, err: `unknown field "speed"`},
		"an unknown format":        {args: []string{"-workload", "steady", "-format", "gif"}, err: "svg or png"},
		"a boot beyond measure":    {args: []string{"-workload", "steady", "-boot", "NaN"}, err: "-boot"},
		"a target wait of nothing": {args: []string{"-workload", "steady", "-target-wait", "0s"}, err: "-target-wait"},
		"an argument too many":     {args: []string{"steady"}, err: `unexpected argument "steady"`},
		"no seeds":                 {args: []string{"-bench", "-seeds", "0"}, err: "-seeds"},
		"a flag that isn't":        {args: []string{"-fast"}, err: "-fast"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("simulate", tc.args, io.Discard)
			if tc.err == "" && err != nil {
				t.Fatal(err)
			}
			if tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
				t.Fatalf("error is %v, want %q", err, tc.err)
			}
		})
	}
}

func TestRunPool(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pool := write(t, "pool.yaml", manifest)
	trace := write(t, "night.csv", "0,resize,1,10\n300,resize,2,200\n")
	for _, format := range []string{"svg", "png"} {
		o, err := Parse(
			"simulate", []string{"-pool", pool, "-trace", trace, "-out", dir, "-format", format}, io.Discard,
		)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := Run(o, &out); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"210 jobs", "target wait 45 s", sim.OurName, "KEDA T=5", "Knative KPA", "night." + format,
		} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("the output doesn't say %q:\n%s", want, out.String())
			}
		}
		if o.Config.MinReplicas != 2 || o.Config.MaxReplicas != 7 || o.Workload.Concurrency != 3 || o.Config.Poll != 2 {
			t.Errorf("the pool's settings are not used: %+v", o.Config)
		}
	}
	f, err := os.Open(filepath.Join(dir, "night.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := png.Decode(f); err != nil {
		t.Errorf("the plot is no PNG: %v", err)
	}
	wellFormed(t, filepath.Join(dir, "night.svg"))
}

// wellFormed reads an SVG file to its end.
func wellFormed(t *testing.T, file string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	for d := xml.NewDecoder(f); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Errorf("%s is no SVG: %v", file, err)
			return
		}
	}
}

func TestBench(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	page := write(t, "page.md", "before\n"+pageBegin+"old figures\n"+pageEnd+"after\n")
	o, err := Parse("simulate", []string{"-bench", "-short", "-seeds", "1", "-out", dir, "-page", page}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Run(o, &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var result map[string]float64
	if err := json.Unmarshal([]byte(strings.TrimPrefix(lines[len(lines)-1], "RESULT ")), &result); err != nil {
		t.Fatalf("the last line is %q: %v", lines[len(lines)-1], err)
	}
	for _, key := range []string{
		"worst_miss_percent", "worker_hours_vs_tuned_keda_ratio", "reversals_vs_tuned_keda_ratio", "interrupted_jobs",
		"partial_scale_downs", "no_telemetry_worst_miss_percent",
	} {
		if _, ok := result[key]; !ok {
			t.Errorf("RESULT has no %s", key)
		}
	}
	for _, name := range []string{"hours.svg", "reversals.svg", "spike.svg", "flash-crowd.svg"} {
		wellFormed(t, filepath.Join(dir, name))
	}
	got, err := os.ReadFile(page)
	if text := string(got); err != nil || !strings.HasPrefix(
		text, "before\n"+pageBegin+"\nSeeds 5001 to 5001, 7 workloads.\n",
	) || !strings.HasSuffix(text, pageEnd+"after\n") || strings.Contains(text, "old figures") {
		t.Errorf("the page is (%v):\n%s", err, got)
	}
	for _, file := range []string{write(t, "plain.md", "no marks\n"), filepath.Join(dir, "absent.md")} {
		if err := updatePage(file, "x"); err == nil {
			t.Errorf("%s was updated without marks", filepath.Base(file))
		}
	}
	if report, err := os.ReadFile(filepath.Join(dir, "report.md")); err != nil ||
		!strings.Contains(string(report), "| sparse bursts |") {
		t.Errorf("the report lacks a workload: %v", err)
	}
}

func TestPlotsThatCannotBe(t *testing.T) {
	t.Parallel()
	if err := RunPlot(filepath.Join(t.TempDir(), "a.gif"), "", nil, 30); err == nil ||
		!strings.Contains(err.Error(), ".svg and .png") {
		t.Errorf("error is %v, want one about the kind of file", err)
	}
	if err := RunPlot(filepath.Join(write(t, "file", ""), "a.svg"), "", nil, 30); err == nil {
		t.Error("a plot was written below a file")
	}
}
