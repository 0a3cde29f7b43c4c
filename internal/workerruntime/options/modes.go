package options

import "strings"

// Mode is how a job is run.
type Mode string

// The modes.
const (
	Exec   Mode = "exec"
	Stream Mode = "stream"
	HTTP   Mode = "http"
)

// RunMode is the command that reads its handlers, of any mode, from a file.
const RunMode Mode = "run"

// mode describes a mode. The constructors of its handlers are in the table of package
// workerruntime.
type mode struct {
	name    Mode
	url     bool   // its argument is a URL, not a command
	example string // of the argument
	summary string // its line in the program's help
	help    string
}

var modeTable = []mode{
	{
		name: Exec, example: "/app/resize", summary: "one process for each job",
		help: `gearman-worker exec [options] -- COMMAND [ARG...]

Runs COMMAND once for each job. The workload is its standard input, its standard output is the result, its standard error goes to
the log. Exit code 0 completes the job, any other fails it. The environment has GEARMAN_FUNCTION, GEARMAN_HANDLE, GEARMAN_UNIQUE and
GEARMAN_WORKLOAD_BYTES. Lines on descriptor 3 report progress to the client: "status 3/10", "data TEXT", "warning TEXT".

  gearman-worker exec --function thumbnail --concurrency 4 -- convert - -resize 200x200 png:-
`,
	},
	{
		name: Stream, example: "/app/resize", summary: "jobs as messages to processes that keep running",
		help: `gearman-worker stream [options] -- COMMAND [ARG...]

Keeps as many processes of COMMAND running as --concurrency says and sends each one job at a time: a JSON line and the workload on
descriptor 3, the answer on descriptor 4 (docs/stream.md). Standard output and standard error go to the log. SIGHUP replaces the
processes one by one, each once a new one is ready.

  gearman-worker stream --function resize --concurrency 4 --stream-max-jobs 1000 -- php worker.php
`,
	},
	{
		name: HTTP, url: true, example: "http://127.0.0.1:8080/resize", summary: "one POST for each job",
		help: `gearman-worker http [options] -- URL

Posts each job to URL: the workload is the body, the headers Gearman-Function, Gearman-Handle and Gearman-Unique identify the job.
A 2xx answer completes the job with its body as the result; 4xx fails it; 429 and 503 are tried again; other 5xx answers are crashes.
While the service accepts no connections, the worker takes no jobs. URL is http://, https://, or unix:///path/to/socket[:/path].

  gearman-worker http --function resize --concurrency 16 -- http://127.0.0.1:8080/resize
`,
	},
}

const runHelp = `gearman-worker run --config FILE

Serves the functions of the file, each by its own handler. The keys of the file have the names of the options:

  server: [gearmand:4730]
  concurrency: 4
  handlers:
    - function: [resize, thumbnail]
      exec: [/app/resize]
      job-timeout: 5m
    - function: report
      stream: [php, report.php]
      stream-max-jobs: 1000
    - function: notify
      http: http://127.0.0.1:8080/notify
`

// describe returns the entry of a mode, or nil if there is none.
func (m Mode) describe() *mode {
	for i := range modeTable {
		if modeTable[i].name == m {
			return &modeTable[i]
		}
	}
	return nil
}

// Known reports whether m is a mode that runs jobs. RunMode is not.
func (m Mode) Known() bool { return m.describe() != nil }

func (m Mode) help() string {
	if d := m.describe(); d != nil {
		return d.help
	}
	return runHelp
}

// argument returns what follows the options in the mode's command.
func (m *mode) argument() string {
	if m.url {
		return "URL"
	}
	return "COMMAND [ARG...]"
}

// modeNames lists the modes for people: "exec, stream and http".
func modeNames() string {
	names := make([]string, 0, len(modeTable))
	for i := range modeTable {
		names = append(names, string(modeTable[i].name))
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}
