package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const fence = "```"

func TestSteps(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		page    string
		want    []step
		wantErr string
	}{
		"headings, other blocks, what is expected": {
			page: "# Top\n\n" + fence + "yaml\na: b\n# no heading\n" + fence + "\n## One\n" + fence +
				"sh\ntrue\nfalse\n" + fence + "\n\nIt says\n\n" +
				fence + "text\nhello\n" + fence + "\n### Two\n" + fence + "\nplain\n" + fence + "\n" + fence +
				"sh\nls\n" + fence + "\n",
			want: []step{
				{heading: "One", line: 8, commands: "true\nfalse\n", want: []string{"hello"}},
				{heading: "Two", line: 22, commands: "ls\n"},
			},
		},
		"nothing to run": {page: "# Top\n", wantErr: "no sh block"},
		"not closed":     {page: fence + "sh\nls\n", wantErr: "line 1: the block is not closed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := steps(tc.page)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("error = %v, want %q", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(step{})); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

func sh(commands string) string   { return fence + "sh\n" + commands + "\n" + fence + "\n" }
func text(expected string) string { return fence + "text\n" + expected + "\n" + fence + "\n" }

func TestRun(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		page    string
		options options
		want    []string // in the output
		wantErr string
	}{
		"the shell stays the same": {
			page: sh("X=one; cd /") + sh(`echo "$X $PWD"`) + text("one    /"),
			want: []string{"one /\n", `$ echo "$X $PWD"`, `RESULT {"t":`},
		},
		"times apart": {
			page:    "# Set up it\n" + sh("sleep 0.3") + "# Rest\n" + sh("true"),
			options: options{unmeasured: []string{"Set up it"}},
			want:    []string{`"set_up_it_s":0.`, `"t":0`},
		},
		"the clean-up first, whatever becomes of it": {
			page: "# Set up\n" + sh("F=DIR/f") + "# Work\n" + sh("test $(wc -l <$F) = 1\necho working") +
				"# Clean\n" + sh("echo cleaned >>$F || exit 1\ntest $(wc -l <$F) = 2"),
			options: options{before: "Clean", unmeasured: []string{"Set up"}},
			want:    []string{"working"},
		},
		"an error ends it": {
			page:    "# One\n" + sh("false") + "# Two\n" + sh("echo unreached"),
			wantErr: "page.md:2: One: exit status 1",
		},
		"another output":    {page: sh("echo a\necho b") + text("a\nc"), wantErr: `page.md:1: the output lacks "c"`},
		"on standard error": {page: sh("echo a >&2") + text("a"), want: []string{"a\n"}},
		"an unset variable": {page: sh(`echo "$NOT_SET_ANYWHERE"`), wantErr: "exit status 1"},
		"no such heading":   {page: sh("true"), options: options{before: "Nowhere"}, wantErr: `no commands under "Nowhere"`},
		"too long": {
			page: sh("exec sleep 60"), options: options{timeout: 100 * time.Millisecond}, wantErr: "deadline exceeded",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "page.md")
			if err := os.WriteFile(file, []byte(strings.ReplaceAll(tc.page, "DIR", dir)), 0o600); err != nil {
				t.Fatal(err)
			}
			o := tc.options
			o.file, o.result = file, "t"
			if o.timeout == 0 {
				o.timeout = time.Minute
			}
			var out strings.Builder
			err := run(t.Context(), &out, o)
			switch {
			case tc.wantErr == "" && err != nil:
				t.Fatalf("%v\n%s", err, out.String())
			case tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)):
				t.Fatalf("error = %v, want %q\n%s", err, tc.wantErr, out.String())
			}
			for _, want := range tc.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("the output lacks %q:\n%s", want, out.String())
				}
			}
			if strings.Contains(out.String(), "\nunreached") {
				t.Error("commands after an error were run")
			}
			if tc.wantErr == "" {
				_, line, _ := strings.Cut(out.String(), "RESULT ")
				if err := json.Unmarshal([]byte(line), &map[string]float64{}); err != nil {
					t.Errorf("the RESULT line: %v", err)
				}
			}
		})
	}
}
