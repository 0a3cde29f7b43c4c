package telemetry_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
	"github.com/gearman-operator/gearman-operator/internal/telemetry"
)

const docUID = "0a1b2c3d-4e5f-6789-abcd-ef0123456789"

// The workers of docs/telemetry.md, run as they are there: each runs a job of a real gearmand, and
// its ID reports it.
func TestWorkersOfTheDocs(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/telemetry.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		command []string // and the file
		check   []string // fails if the language or its library is missing
		install string
	}{
		"php": {
			[]string{"php"}, []string{"php", "-r", "exit(extension_loaded('gearman') ? 0 : 1);"}, "php-cli php-gearman",
		},
		"perl":   {[]string{"perl"}, []string{"perl", "-MGearman::Worker", "-e", "1"}, "libgearman-client-perl"},
		"python": {[]string{"python3"}, []string{"python3", "-c", "pass"}, "python3"},
	}
	for language, tt := range tests {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			code := block(t, doc, language)
			if err := exec.Command(tt.check[0], tt.check[1:]...).Run(); err != nil {
				t.Skipf("apt-get install %s: %v", tt.install, err)
			}
			file := filepath.Join(t.TempDir(), "worker")
			if err := os.WriteFile(file, code, 0o600); err != nil {
				t.Fatal(err)
			}
			srv := jobserver.Gearmand(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var out bytes.Buffer
			worker := exec.CommandContext(ctx, tt.command[0], append(tt.command[1:], file)...)
			worker.Env = append(
				os.Environ(), "GEARMAN_SERVERS="+srv.Addr, "GEARMAN_WORKER_POD_UID="+docUID,
				"GEARMAN_WORKER_POD_NAME=pool-a-1",
			)
			worker.Stdout, worker.Stderr = &out, &out
			if err := worker.Start(); err != nil {
				t.Fatal(err)
			}
			exited := make(chan struct{})
			go func() {
				defer close(exited)
				_ = worker.Wait() // it is killed below
				cancel()          // a worker that ends early has failed, and there is nothing to wait for
			}()
			defer func() {
				_ = worker.Process.Kill() // fails if it has ended
				<-exited
				if t.Failed() {
					t.Logf("the worker said: %s", out.Bytes())
				}
			}()
			conn, err := admin.Dial(ctx, srv.Addr, admin.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			report := func(what string, ok func(telemetry.Report) bool) telemetry.Report {
				t.Helper()
				for {
					connections, err := conn.Workers(ctx)
					if err != nil {
						t.Fatalf("%s: %v", what, err)
					}
					for _, c := range connections {
						if r, err := telemetry.Parse([]byte(c.ID)); err == nil && ok(r) {
							return r
						} else if strings.HasPrefix(c.ID, telemetry.Prefix) && err != nil {
							t.Fatalf("%s: %v: %s", what, err, c.ID)
						}
					}
					time.Sleep(20 * time.Millisecond)
				}
			}
			first := report("idle", func(r telemetry.Report) bool { return r.Full })
			if first.UID.String() != docUID[:8] || first.Busy != 0 || first.Capacity != 1 ||
				first.Function != telemetry.FunctionHash("resize") ||
				first.Counters != (telemetry.Counters{}) || string(first.Pod) != "pool-a-1" {
				t.Errorf("%+v", first)
			}
			if result := submit(t, srv.Addr, "resize", "abc"); result != "cba" {
				t.Errorf("the job's result is %q", result)
			}
			after := report("after a job", func(r telemetry.Report) bool { return r.Counters.OK == 1 })
			if after.Start != first.Start || after.Busy != 0 || after.Counters.Failed != 0 ||
				after.Counters.BusyMillis != after.Counters.OKMillis {
				t.Errorf("%+v", after)
			}
		})
	}
}

// block returns the page's code block in a language.
func block(t *testing.T, doc []byte, language string) []byte {
	t.Helper()
	_, rest, ok := bytes.Cut(doc, []byte("\n```"+language+"\n"))
	code, _, closed := bytes.Cut(rest, []byte("\n```\n"))
	if !ok || !closed {
		t.Fatalf("docs/telemetry.md has no code in %s", language)
	}
	return append(bytes.Clone(code), '\n')
}

// submit runs a job and returns its result.
func submit(t *testing.T, addr, function, workload string) string {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	conn := proto.NewConn(nc, proto.Limits{})
	if _, err := conn.Write(proto.AppendSubmit(nil, proto.TypeSubmitJob, function, "", workload)); err != nil {
		t.Fatal(err)
	}
	for {
		p, err := conn.Next()
		if err != nil {
			t.Fatal(err)
		}
		switch p.Type {
		case proto.TypeWorkComplete:
			w, err := p.Work()
			if err != nil {
				t.Fatal(err)
			}
			return string(w.Data)
		case proto.TypeWorkFail, proto.TypeError:
			t.Fatalf("%v", p.Type)
		}
	}
}
