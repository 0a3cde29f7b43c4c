package cli

import (
	"context"
	"net"
	"strings"
	"testing"

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

// Letters can be shown as often as one likes, also where gearmand drops jobs that come back.
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
