package admin

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/internal/check"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

func dial(t *testing.T, addr string) *Conn {
	t.Helper()
	c, err := Dial(t.Context(), addr, Options{Timeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// submit sends a background job as raw packets.
func submit(t *testing.T, c *Conn, function, unique string) string {
	t.Helper()
	var handle string
	err := c.Exchange(t.Context(), proto.AppendSubmit(
		nil, proto.TypeSubmitJobBG, function, unique, "x",
	), func(conn *proto.Conn) error {
		p, err := conn.Next()
		if err != nil {
			return err
		}
		arg, err := p.Arg()
		handle = string(arg)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return handle
}

func TestGearmand(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := jobserver.Gearmand(t)
	c := dial(t, s.Addr)
	v, err := c.Version(ctx)
	if err != nil || v.Dialect == proto.Unknown || v.Dialect == proto.Perl || v.Text == "" {
		t.Errorf("Version: %+v, %v", v, err)
	}
	if pid, err := c.PID(ctx); err != nil || pid != s.PID() {
		t.Errorf("PID: %d, %v, want %d", pid, err, s.PID())
	}
	if level, err := c.Verbose(ctx); err != nil || level == "" {
		t.Errorf("Verbose: %q, %v", level, err)
	}
	if err := c.Echo(ctx, []byte("a\x00b")); err != nil {
		t.Error(err)
	}
	if rows, err := c.Status(ctx); err != nil || len(rows) != 0 {
		t.Errorf("Status of an empty server: %v, %v", rows, err)
	}
	first := submit(t, c, "f", "key")
	second := submit(t, c, "f", "")
	rows, err := c.Status(ctx)
	if diff := check.Diff([]FunctionStatus{{Function: "f", Total: 2}}, rows); diff != "" || err != nil {
		t.Error(err, diff)
	}
	prio, err := c.PriorityStatus(ctx)
	if diff := check.Diff([]PriorityStatus{{Function: "f", Normal: 2}}, prio); diff != "" || err != nil {
		t.Error(err, diff)
	}
	jobs, err := c.Jobs(ctx)
	if err != nil || len(jobs) != 2 {
		t.Errorf("Jobs: %v, %v", jobs, err)
	}
	keys, err := c.UniqueJobs(ctx)
	slices.SortFunc(keys, func(a, b UniqueJob) int { return strings.Compare(a.Unique, b.Unique) })
	if diff := check.Diff([]UniqueJob{{}, {Unique: "key"}}, keys); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if ok, err := Probe(ctx, s.Addr, "f", Options{}); err != nil || !ok {
		t.Errorf("Probe: %v, %v, want true", ok, err)
	}
	for _, h := range []string{first, second} {
		if err := c.CancelJob(ctx, h); err != nil {
			t.Error(err)
		}
	}
	if ok, err := Probe(ctx, s.Addr, "f", Options{}); err != nil || ok {
		t.Errorf("Probe with cancelled jobs only: %v, %v, want false", ok, err)
	}
	var se *proto.ServerError
	if err := c.CancelJob(ctx, "H:nosuch:1"); !errors.As(err, &se) || se.Code != "UNKNOWN_JOB" {
		t.Errorf("CancelJob of an unknown handle: %v", err)
	}
	if err := c.CreateFunction(ctx, "created"); err != nil {
		t.Error(err)
	}
	if err := c.SetMaxQueue(ctx, "created", 3); err != nil {
		t.Error(err)
	}
	if err := c.SetMaxQueuePriority(ctx, "created", 1, 2, NoLimit); err != nil {
		t.Error(err)
	}
	rows, err = c.Status(ctx)
	if err != nil || len(rows) != 2 {
		t.Errorf("Status: %v, %v", rows, err)
	}
	if err := c.DropFunction(ctx, "created"); err != nil {
		t.Error(err)
	}
	if err := c.Shutdown(ctx); !errors.Is(err, ErrUnsupported) {
		t.Errorf("Shutdown: %v, want ErrUnsupported", err)
	}
	if err := c.ShutdownGracefully(ctx); !errors.Is(err, ErrUnsupported) {
		t.Errorf("ShutdownGracefully: %v, want ErrUnsupported", err)
	}
	id := proto.AppendSetClientID(nil, "me")
	id = proto.AppendCanDo(id, "g")
	if err := c.Exchange(ctx, id, func(*proto.Conn) error { return nil }); err != nil {
		t.Fatal(err)
	}
	conns, err := c.Workers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, w := range conns {
		found = found || w.ID == "me" && w.IP == "127.0.0.1" && slices.Equal(w.Functions, []string{"g"})
	}
	if !found {
		t.Errorf("Workers: %v lacks this connection", conns)
	}
}

func TestPerl(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := dial(t, jobserver.Perl(t).Addr)
	if v, err := c.Version(ctx); err != nil || v.Dialect != proto.Perl || v.Dialect.Requeues() {
		t.Errorf("Version: %+v, %v", v, err)
	}
	submit(t, c, "f", "")
	rows, err := c.Status(ctx)
	if diff := check.Diff([]FunctionStatus{{Function: "f", Total: 1}}, rows); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if conns, err := c.Workers(ctx); err != nil || len(conns) != 1 {
		t.Errorf("Workers: %v, %v", conns, err)
	}
	for name, call := range map[string]func() error{
		"prioritystatus":   func() error { _, err := c.PriorityStatus(ctx); return err },
		"show jobs":        func() error { _, err := c.Jobs(ctx); return err },
		"show unique jobs": func() error { _, err := c.UniqueJobs(ctx); return err },
		"verbose":          func() error { _, err := c.Verbose(ctx); return err },
		"create function":  func() error { return c.CreateFunction(ctx, "g") },
	} {
		if err := call(); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v, want ErrUnsupported", name, err)
		}
	}
	if err := c.Err(); err != nil {
		t.Errorf("the connection didn't survive: %v", err)
	}
}

// TestHostileNames checks that names which imitate rows or the closing "." cause an error, and
// don't shift the responses to later commands.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := dial(t, jobserver.Gearmand(t).Addr)
	if err := c.Exchange(ctx, proto.AppendCanDo(nil, "ev\n.\nil"), func(*proto.Conn) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if rows, err := c.Status(ctx); !errors.Is(err, ErrAnswer) {
		t.Errorf("Status: %v, %v, want ErrAnswer", rows, err)
	}
	if rows, err := c.Workers(ctx); !errors.Is(err, ErrAnswer) {
		t.Errorf("Workers: %v, %v, want ErrAnswer", rows, err)
	}
	if _, err := c.Version(ctx); err != nil {
		t.Errorf("Version after hostile rows: %v", err)
	}
}
