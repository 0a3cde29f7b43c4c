package options

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
)

func fakeEnv(vars map[string]string, files map[string]string) Environment {
	return Environment{
		Lookup: func(name string) (string, bool) { v, ok := vars[name]; return v, ok },
		ReadFile: func(name string) ([]byte, error) {
			if s, ok := files[name]; ok {
				return []byte(s), nil
			}
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		},
	}
}

func defaults(h Handler) Handler {
	if h.OnCrash == "" {
		h.OnCrash = job.CrashRequeue
	}
	h.RetryAttempts, h.RetryBackoff, h.RetryMaxBackoff = 1, 10*time.Second, 10*time.Minute
	if h.FailingAfter == 0 {
		h.FailingAfter = 20
	}
	if h.MaxResult == 0 {
		h.MaxResult = 64 << 20
	}
	if h.KillAfter == 0 && h.Mode != HTTP {
		h.KillAfter = 5 * time.Second
	}
	if h.PingEvery == 0 && h.Mode == Stream {
		h.PingEvery = 30 * time.Second
	}
	return h
}

func TestParse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		mode  Mode
		args  string
		env   map[string]string
		files map[string]string
		want  Options
	}{
		"the least": {
			mode: Exec, args: "--function f -- cat -n",
			want: Options{
				Servers: []string{"127.0.0.1:4730"}, Concurrency: 1,
				Handlers: []Handler{
					defaults(Handler{Mode: Exec, Functions: []string{"f"}, Command: []string{"cat", "-n"}}),
				},
			},
		},
		"what the operator passes": {
			mode: Stream,
			args: "--server=a.jobs --server=b:4731,[::1] --function=f --function=g,h --concurrency=4 --drain-timeout=3595s --listen=:4790 --job-timeout=300s --on-crash=requeue --stream-max-jobs=10 --tls --tls-ca=/ca --tls-cert=/c --tls-key=/k --tls-server-name=n -- php w.php",
			env:  map[string]string{"GEARMAN_WORKER_POD_UID": "0d0d0d0d-1", "GEARMAN_WORKER_POD_NAME": "p-1"},
			want: Options{
				Servers: []string{"a.jobs:4730", "b:4731", "[::1]:4730"}, Concurrency: 4,
				DrainTimeout: 3595 * time.Second, Listen: ":4790",
				TLS: true, TLSCA: "/ca", TLSCert: "/c", TLSKey: "/k", TLSServerName: "n", PodUID: "0d0d0d0d-1",
				PodName: "p-1",
				Handlers: []Handler{
					defaults(
						Handler{
							Mode: Stream, Functions: []string{"f", "g,h"}, Command: []string{"php", "w.php"},
							JobTimeout: 5 * time.Minute, OnCrash: job.CrashRequeue, MaxJobs: 10,
						},
					),
				},
			},
		},
		"flag over environment over file over default": {
			mode: Exec, args: "--config c --concurrency 2 --function f -- x",
			env: map[string]string{
				"GEARMAN_WORKER_CONCURRENCY": "3", "GEARMAN_WORKER_JOB_TIMEOUT": "3m",
				"GEARMAN_WORKER_DRAIN_TIMEOUT": "",
			},
			files: map[string]string{"c": "concurrency: 4\njob-timeout: 4m\ndrain-timeout: 4m\nserver: [s1, 's2:1']\n"},
			want: Options{
				Servers: []string{"s1:4730", "s2:1"}, Concurrency: 2, DrainTimeout: 4 * time.Minute,
				Handlers: []Handler{
					defaults(
						Handler{
							Mode: Exec, Functions: []string{"f"}, Command: []string{"x"}, JobTimeout: 3 * time.Minute,
						},
					),
				},
			},
		},
		"lists in the environment": {
			mode: HTTP, args: "-- http://h/",
			env: map[string]string{
				"GEARMAN_WORKER_FUNCTION": "a b,c\n d", "GEARMAN_WORKER_SERVER": "x, y:1,",
				"GEARMAN_WORKER_HEADER": "A: b, c\nD: e",
			},
			want: Options{
				Servers: []string{"x:4730", "y:1"}, Concurrency: 1,
				Handlers: []Handler{
					defaults(
						Handler{
							Mode: HTTP, Functions: []string{"a", "b,c", "d"}, URL: "http://h/",
							Headers: []string{"A: b, c", "D: e"},
						},
					),
				},
			},
		},
		"handlers of a file": {
			mode: RunMode, args: "--config c",
			env: map[string]string{"GEARMAN_WORKER_ON_CRASH": "requeue"},
			files: map[string]string{"c": `
job-timeout: 1m
handlers:
- function: [a, b]
  exec: [/bin/x, "1", 2]
  job-timeout: 2m
  stream-output: true
- function: c
  stream: [php, w.php]
  stream-max-jobs: 5
- function: d
  http: http://h/
  header: ["X: y"]
`},
			want: Options{Servers: []string{"127.0.0.1:4730"}, Concurrency: 1, Handlers: []Handler{
				defaults(
					Handler{
						Mode: Exec, Functions: []string{"a", "b"}, Command: []string{"/bin/x", "1", "2"},
						JobTimeout: 2 * time.Minute, OnCrash: job.CrashRequeue, StreamOutput: true,
					},
				),
				defaults(
					Handler{
						Mode: Stream, Functions: []string{"c"}, Command: []string{"php", "w.php"},
						JobTimeout: time.Minute, OnCrash: job.CrashRequeue, MaxJobs: 5,
					},
				),
				defaults(
					Handler{
						Mode: HTTP, Functions: []string{"d"}, URL: "http://h/", JobTimeout: time.Minute,
						OnCrash: job.CrashRequeue, Headers: []string{"X: y"},
					},
				),
			}},
		},
		"sizes": {
			mode: Exec, args: "--function f --max-result 2Gi --spool-above 1 --spool-dir /s -- x",
			want: Options{
				Servers: []string{"127.0.0.1:4730"}, Concurrency: 1, SpoolDir: "/s", SpoolAbove: 1,
				Handlers: []Handler{
					defaults(Handler{Mode: Exec, Functions: []string{"f"}, Command: []string{"x"}, MaxResult: 2 << 30}),
				},
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse(tc.mode, strings.Fields(tc.args), fakeEnv(tc.env, tc.files))
			if err != nil {
				t.Fatal(err)
			}
			want := tc.want
			want.LogFormat, want.LogRate, want.MaxWorkload, want.MaxServers = "json", 200, 1<<30, 256
			if !strings.Contains(tc.args, "spool") {
				want.SpoolAbove, want.SpoolDir = 1<<20, got.SpoolDir
			}
			if diff := cmp.Diff(
				&want, got, cmpopts.IgnoreFields(Options{}, "Settings"), cmpopts.EquateEmpty(),
			); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		mode Mode
		args string
		env  map[string]string
		file string
		want string
	}{
		"no function": {Exec, "-- x", nil, "", "give at least one --function"},
		"no command": {
			Exec, "--function f", nil, "",
			"exec needs a command after its options, as in: gearman-worker exec --function resize -- /app/resize",
		},
		"no url": {
			HTTP, "--function f", nil, "",
			"http needs one URL after its options, as in: gearman-worker http --function resize -- http://127.0.0.1:8080/resize",
		},
		"unknown option": {
			Exec, "--fnuction f -- x", nil, "", "there is no option --fnuction; see gearman-worker exec --help",
		},
		"option of another mode": {
			Exec, "--stream-max-jobs 3 -- x", nil, "",
			"--stream-max-jobs does not apply to exec; see gearman-worker exec --help",
		},
		"no unit":        {Exec, "--function f --job-timeout 30 -- x", nil, "", `--job-timeout: "30" has no unit; write 30s for seconds or 30m for minutes`},
		"no duration":    {Exec, "--function f -- x", map[string]string{"GEARMAN_WORKER_JOB_TIMEOUT": "long"}, "", `GEARMAN_WORKER_JOB_TIMEOUT: "long" is not a duration such as 90s, 5m or 1h30m`},
		"negative":       {Exec, "--function f --job-timeout -5s -- x", nil, "", `--job-timeout: "-5s" is not a duration such as 90s, 5m or 1h30m`},
		"no size":        {Exec, "--function f --max-result big -- x", nil, "", `--max-result: "big" is not a size such as 4096, 512Ki, 64Mi or 2Gi`},
		"huge size":      {Exec, "--function f --max-result 9999999999Gi -- x", nil, "", `--max-result: "9999999999Gi" is not a size such as 4096, 512Ki, 64Mi or 2Gi`},
		"bad choice":     {Exec, "--function f --on-crash retry -- x", nil, "", `--on-crash: "retry" is not one of fail, requeue`},
		"IPv6 and port":  {Exec, "--function f --server 2001:db8::1:x -- x", nil, "", `--server: invalid job server address "2001:db8::1:x": host and port can't be told apart (want host, host:port or [IPv6]:port)`},
		"bad port":       {Exec, "--function f --server h:x -- x", nil, "", `--server: invalid job server address "h:x": the port is not a number from 1 to 65535 (want host, host:port or [IPv6]:port)`},
		"no concurrency": {Exec, "--function f --concurrency 0 -- x", nil, "", `--concurrency: "0" is not a whole number from 1 to 10000`},
		"function twice": {Exec, "--function f --function f -- x", nil, "", `--function: function "f" is given twice`},
		"white space":    {Exec, "--function= -- x", nil, "", `--function: "": a function's name has 1 to 255 bytes`},
		"half a certificate": {
			Exec, "--function f --tls-cert c -- x", nil, "",
			"--tls-cert and --tls-key belong together: give both or none",
		},
		"bad header":         {HTTP, "--function f --header nonsense -- http://h/", nil, "", `--header: "nonsense" is not a header such as "Authorization: Bearer x"`},
		"run without a file": {RunMode, "", nil, "", "run needs --config FILE with at least one entry in handlers"},
		"run with a command": {RunMode, "--config c -- x", nil, "handlers: []", `run takes no argument "x": its commands are in the file of --config`},
		"no such file":       {RunMode, "--config other", nil, "", "--config: open other: file does not exist"},
		"not yaml": {
			RunMode, "--config c", nil, "a: [", "file c: yaml: line 1: did not find expected node content",
		},
		"not a mapping": {RunMode, "--config c", nil, "- a", "file c: is not a mapping of names to values"},
		"unknown key": {
			RunMode, "--config c", nil, "jobTimeout: 3s", "file c: no such setting here: jobTimeout",
		},
		"wrong value in a file": {RunMode, "--config c", nil, "concurrency: many\nhandlers: [{function: f, exec: [x]}]", `file c: concurrency: "many" is not a whole number from 1 to 10000`},
		"a mapping as value": {
			RunMode, "--config c", nil, "concurrency: {a: 1}",
			"file c: concurrency: map[a:1] is not a text, a number or true/false",
		},
		"a list as value": {
			RunMode, "--config c", nil, "concurrency: [1, 2]", "file c: concurrency takes one value, not a list",
		},
		"two modes": {
			RunMode, "--config c", nil, "handlers: [{function: f, exec: [x], http: 'http://h'}]",
			"file c: handler 1: set exactly one of " + modeNames(),
		},
		"a command as a string": {
			RunMode, "--config c", nil, "handlers: [{function: f, exec: x y}]",
			"file c: handler 1: exec is a list, as in exec: [/app/resize, --fast]",
		},
		"wrong mode's setting": {
			RunMode, "--config c", nil, "handlers: [{function: f, exec: [x], stream-max-jobs: 3}]",
			"file c: handler 1: no such setting here: stream-max-jobs",
		},
		"no functions": {RunMode, "--config c", nil, "handlers: [{exec: [x]}]", "handler 1 has no function"},
		"two handlers": {RunMode, "--config c", nil, "handlers: [{function: f, exec: [x]}, {function: f, exec: [y]}]", `function "f" has two handlers`},
		"handlers for exec": {
			Exec, "--config c -- x", nil, "handlers: [{function: f, exec: [x]}]",
			"file c has handlers: start it as gearman-worker run --config c",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse(tc.mode, strings.Fields(tc.args), fakeEnv(tc.env, map[string]string{"c": tc.file}))
			got := ""
			if err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	if _, err := Parse(Exec, []string{"--help"}, fakeEnv(nil, nil)); !errors.Is(err, ErrHelp) {
		t.Errorf("--help gives %v", err)
	}
	for _, mode := range []Mode{Exec, Stream, HTTP, RunMode} {
		var b strings.Builder
		WriteHelp(&b, mode)
		for i := range Table {
			opt := &Table[i]
			shown := strings.Contains(b.String(), "\n  --"+opt.usage()+"\n")
			if want := opt.flagOf(mode); shown != want {
				t.Errorf("%s: help shows --%s: %v, want %v", mode, opt.Name, shown, want)
			}
		}
	}
}

// TestUnknownMode checks that an unknown mode is refused with a list of the known ones.
func TestUnknownMode(t *testing.T) {
	t.Parallel()
	_, err := Parse("none", []string{"--function", "f", "--", "x"}, fakeEnv(nil, nil))
	if want := `there is no mode "none": use ` + modeNames(); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if Mode("none").Known() || RunMode.Known() || !Stream.Known() {
		t.Error("what is no mode is known, or a mode isn't")
	}
}

// TestHelpExampleParses checks that run accepts the example file in its help.
func TestHelpExampleParses(t *testing.T) {
	t.Parallel()
	_, example, _ := strings.Cut(RunMode.help(), "options:\n\n")
	o, err := Parse(RunMode, []string{"--config", "c"}, fakeEnv(nil, map[string]string{"c": example}))
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Handlers) != 3 {
		t.Errorf("%d handlers", len(o.Handlers))
	}
}
