package interop

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// waitLimit bounds every wait of a test.
const waitLimit = 60 * time.Second

// feature is something that a library may lack.
type feature string

const (
	events     feature = "events"     // the client shows status, data and warnings
	exceptions feature = "exceptions" // the client gets the data of exceptions
	background feature = "background" // the client prints the handle
	submits    feature = "submits"    // the client submits background jobs unchanged
	progress   feature = "progress"   // the worker sends status, data and warnings
	throws     feature = "throws"     // the worker sends exceptions
	uniqueTold feature = "uniqueTold" // the worker gives a job its unique key
	nothing    feature = "nothing"    // the worker can send an empty result
)

// A library is another Gearman library, used via the programs in testdata or its own CLI.
type library struct {
	name string
	// client runs one job or submits it; kind is foreground, high, low, background, high-background
	// or low-background.
	client func(s *jobserver.Server, kind, function, unique string) []string
	// worker serves the functions reverse and fail and, as far as the library can, progress, except
	// and unique.
	worker func(s *jobserver.Server) []string
	lacks  map[feature]string
}

func libraries() []library {
	host := func(s *jobserver.Server) (string, string) {
		h, p, _ := strings.Cut(s.Addr, ":")
		return h, p
	}
	script := func(interpreter, file string) func(*jobserver.Server, string, string, string) []string {
		return func(s *jobserver.Server, kind, function, unique string) []string {
			h, p := host(s)
			return []string{interpreter, "testdata/" + file, h, p, kind, function, unique}
		}
	}
	worker := func(interpreter, file string) func(*jobserver.Server) []string {
		return func(s *jobserver.Server) []string {
			h, p := host(s)
			return []string{interpreter, "testdata/" + file, h, p}
		}
	}
	return append([]library{
		{
			name: "libgearman's CLI",
			client: func(s *jobserver.Server, kind, function, unique string) []string {
				h, p := host(s)
				args := []string{"gearman", "-h", h, "-p", p, "-f", function}
				for k, options := range map[string][]string{
					"high": {"-I"}, "low": {"-L"}, "background": {"-b"}, "high-background": {"-b", "-I"},
					"low-background": {"-b", "-L"},
				} {
					if k == kind {
						args = append(args, options...)
					}
				}
				if unique != "" {
					args = append(args, "-u", unique)
				}
				return args
			},
			worker: func(s *jobserver.Server) []string {
				h, p := host(s)
				// One command serves all functions, and does not get the function's name. So a job
				// fails if its payload says so.
				return []string{
					"gearman", "-w", "-h", h, "-p", p, "-f", "reverse", "-f", "fail", "--",
					"perl", "-0777", "-e", `binmode STDIN; binmode STDOUT; $_ = <STDIN>; exit 1 if $_ eq "fail"; print scalar reverse $_`,
				}
			},
			lacks: map[feature]string{
				events:     "the CLI prints data, and a percentage for the status, into the result",
				exceptions: "the CLI does not ask for exceptions, and hangs when a job ends with one: gearmand's WORK_FAIL has a NUL behind the handle then",
				background: "the CLI prints no handle",
				progress:   "the CLI's worker sends the command's output as the result, and no status",
				throws:     "the CLI's worker has no exceptions",
				uniqueTold: "the command is not told the key",
			},
		},
		{
			name:   "php-gearman",
			client: script("php", "client.php"),
			worker: worker("php", "worker.php"),
		},
		{
			name:   "Perl's Gearman::Client",
			client: script("perl", "client.pl"),
			worker: worker("perl", "worker.pl"),
			lacks: map[feature]string{
				uniqueTold: "Gearman::Worker grabs with GRAB_JOB, which tells no key",
				nothing:    "Gearman::Worker sends an empty result without the NUL behind the handle: gearmand waits for more, and takes nothing from it again",
			},
		},
	}, npmLibraries()...)
}

// need skips a test that needs something that the library lacks.
func (l library) need(t *testing.T, f feature) {
	t.Helper()
	if why := l.lacks[f]; why != "" {
		t.Skipf("not in %s: %s", l.name, why)
	}
}

// A run is a run of a foreign program that has ended.
type run struct {
	out    string
	events []string // what it wrote to stderr, one a line, unescaped
	err    error
}

func (l library) run(t *testing.T, s *jobserver.Server, kind, function, unique string, payload []byte) run {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	args := l.client(s, kind, function, unique)
	cmd := exec.CommandContext(ctx, find(t, args[0]), args[1:]...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(payload), &out, &errs
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("%q did not end: %v; it wrote %q, %q", args, ctx.Err(), short(out.String()), short(errs.String()))
	}
	r := run{out: out.String(), err: err}
	for line := range strings.Lines(errs.String()) {
		var words []string
		for word := range strings.FieldsSeq(line) {
			plain, err := url.PathUnescape(word)
			if err != nil {
				plain = word
			}
			words = append(words, plain)
		}
		r.events = append(r.events, strings.Join(words, " "))
	}
	return r
}

// serve starts the library's worker and waits until it is registered with the job server.
func (l library) serve(t *testing.T, s *jobserver.Server) {
	t.Helper()
	args := l.worker(s)
	cmd := exec.Command(find(t, args[0]), args[1:]...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Errorf("%s's worker ended before the test: %v: %s", l.name, err, errs.String())
		}
		var killed *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &killed) {
			t.Errorf("%s's worker: %v", l.name, err)
		}
	})
	waitWorkers(t, s, "reverse")
}

// waitWorkers waits until a worker has registered the function.
func waitWorkers(t *testing.T, s *jobserver.Server, function string) {
	t.Helper()
	poll(t, s, "a worker of "+function, func(rows []admin.FunctionStatus) bool {
		for _, r := range rows {
			if r.Function == function && r.Workers > 0 {
				return true
			}
		}
		return false
	})
}

// poll polls the job server's status until done is true.
func poll(t *testing.T, s *jobserver.Server, what string, done func([]admin.FunctionStatus) bool) {
	t.Helper()
	a, err := admin.Dial(t.Context(), s.Addr, admin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for deadline := time.Now().Add(waitLimit); ; time.Sleep(5 * time.Millisecond) {
		rows, err := a.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if done(rows) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s; the server's status is %+v", what, rows)
		}
	}
}

func find(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%v: run `make deps`, or `apt-get install gearman-tools php-cli php-gearman libgearman-client-perl`", err)
	}
	return path
}

func short(s string) string {
	const most = 200
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

// payloads returns payloads that must arrive unchanged.
func payloads() map[string][]byte {
	every := make([]byte, 0, 3*256)
	for range 3 {
		for b := range 256 {
			every = append(every, byte(b))
		}
	}
	return map[string][]byte{
		"every byte": every,
		"1 MiB":      bytes.Repeat([]byte("0123456789abcde\x00"), 1<<16),
		"empty":      {},
	}
}

func reversed(b []byte) []byte {
	out := make([]byte, len(b))
	for i, c := range b {
		out[len(b)-1-i] = c
	}
	return out
}
