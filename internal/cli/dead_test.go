package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
	"github.com/gearman-operator/gearman-operator/gearman/worker"
)

// bury makes dead letters as a worker does.
func bury(t *testing.T, addr string, payloads ...string) {
	t.Helper()
	w, err := worker.New(worker.Options{Servers: []string{addr}, StopWhenEmpty: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Handle(worker.Function{Name: "resize", Handler: func(context.Context, *worker.Job) ([]byte, error) {
		return nil, &gearman.JobError{Reason: "exit_code", Message: "exit code 4", Detail: []byte("no such image\n")}
	}, Retry: &worker.RetryPolicy{DeadLetter: "resize.dead"}}); err != nil {
		t.Fatal(err)
	}
	for _, p := range payloads {
		submitRaw(t, addr, "resize", "key-"+p, p)
	}
	if err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func submitRaw(t *testing.T, addr, function, key, payload string) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := proto.NewConn(
		nc, proto.Limits{},
	).Exchange(t.Context(), proto.AppendSubmit(
		nil, proto.TypeSubmitJobBG, function, key, payload,
	), func(c *proto.Conn) error {
		_, err := c.Next()
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// Letters can be shown any number of times, even if gearmand drops requeued jobs.
func TestDeadShow(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t, "--job-retries=1")
	bury(t, server.Addr, "a.png", "b.png", "c.png")
	submitRaw(t, server.Addr, "resize.dead", "other", "no letter")
	for range 3 {
		out, _, err := run(t, "", "dead", "show", "resize.dead", "--at", server.Addr)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{
			"a.png", "b.png", "c.png", "key-a.png", "exit_code: exit code 4", "no such image",
			"9 bytes, not a dead letter", "show 4 of resize.dead",
		} {
			if !strings.Contains(out, part) {
				t.Errorf("%q is missing:\n%s", part, out)
			}
		}
		if n := functionsOf(t, server.Addr)["resize.dead"]; n != 4 {
			t.Errorf("%d jobs are left, want 4", n)
		}
	}
	if out, _, err := run(t, "", "dead", "show", "resize.dead", "--at", server.Addr, "--number", "2"); err != nil ||
		!strings.Contains(out, "show 2 of") {
		t.Errorf("%v\n%s", err, out)
	}
	if n := functionsOf(t, server.Addr)["resize.dead"]; n != 4 {
		t.Errorf("%d jobs are left, want 4", n)
	}
}

// List counts without taking a job, even if gearmand drops requeued jobs.
func TestDeadList(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t, "--job-retries=1")
	bury(t, server.Addr, "a.png", "b.png")
	register(t, server.Addr, "somebody", "mail.dead")
	want := []deadRow{
		{Server: server.Addr, Function: "gone.dead"},
		{Server: server.Addr, Function: "mail.dead", Workers: 1},
		{Server: server.Addr, Function: "resize.dead", Jobs: 2},
	}
	for range 3 {
		out, _, err := run(
			t, "", "dead", "list", "resize.dead", "gone.dead", "mail.dead", "resize.dead", "--at", server.Addr, "-o", "json",
		)
		if err != nil {
			t.Fatal(err)
		}
		var got []deadRow
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("dead list (-want +got):\n%s", diff)
		}
	}
	out, _, err := run(t, "", "dead", "list", "resize.dead", "--at", server.Addr)
	if err != nil || !strings.Contains(out, "FUNCTION") || !strings.Contains(out, "resize.dead") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestDeadListRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		want string
	}{
		"no function": {[]string{"dead", "list", "--at", "127.0.0.1:1"}, "name the dead letter functions"},
		"a format":    {[]string{"dead", "list", "f", "-o", "xml"}, "--output must be"},
		"nobody":      {[]string{"dead", "list", "f", "--at", "127.0.0.1:1"}, "127.0.0.1:1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := run(t, "", tt.args...); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
	nowhere := (&Commands{Out: io.Discard, ErrOut: io.Discard}).deadList()
	nowhere.SetArgs([]string{"f"})
	nowhere.SilenceErrors, nowhere.SilenceUsage = true, true
	if err := nowhere.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "--at") {
		t.Errorf("error = %v, want one that asks for --at", err)
	}
}

// If no function is named, those of the target are used.
func TestDeadFunctions(t *testing.T) {
	t.Parallel()
	c := &Commands{DeadLetterFunctions: func(_ context.Context, target string) ([]string, error) {
		switch target {
		case "pool/resize":
			return []string{"resize.dead"}, nil
		case "pool/gone":
			return nil, errors.New("not found")
		}
		return nil, nil
	}}
	tests := map[string]struct {
		named  []string
		target string
		want   []string
		err    string
	}{
		"of the target":              {nil, "pool/resize", []string{"resize.dead"}, ""},
		"named":                      {[]string{"b", "a", "b"}, "pool/gone", []string{"a", "b"}, ""},
		"a target that has none":     {nil, "gearmand", nil, "name the dead letter functions"},
		"a target that is not there": {nil, "pool/gone", nil, "not found"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := c.deadFunctions(t.Context(), tt.named, tt.target)
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("error = %v, want %q", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("functions (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDeadRequeue(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	bury(t, server.Addr, "a.png", "b.png")
	submitRaw(t, server.Addr, "resize.dead", "other", "no letter")
	if out, _, err := run(t, "", "dead", "requeue", "resize.dead", "--at", server.Addr); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if got := functionsOf(t, server.Addr); got["resize"] != 2 || got["resize.dead"] != 1 {
		t.Errorf("%v: both jobs are to wait in their function, what is no letter stays", got)
	}
}

func TestDeadDrop(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	bury(t, server.Addr, "a.png", "b.png")
	if _, _, err := run(t, "", "dead", "drop", "resize.dead", "--at", server.Addr); err == nil ||
		!strings.Contains(err.Error(), "--yes") {
		t.Errorf("error = %v, want one that asks for --yes", err)
	}
	if _, _, err := run(
		t, "", "dead", "drop", "resize.dead", "--at", server.Addr, "--yes", "--number", "0",
	); err == nil {
		t.Error("--number 0 is accepted")
	}
	if out, _, err := run(
		t, "", "dead", "drop", "resize.dead", "--at", server.Addr, "--yes", "--number", "1",
	); err != nil || !strings.Contains(out, "drop 1 of") {
		t.Errorf("%v\n%s", err, out)
	}
	if got := functionsOf(t, server.Addr); got["resize"] != 0 || got["resize.dead"] != 1 {
		t.Errorf("%v is left", got)
	}
}
