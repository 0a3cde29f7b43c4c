package client_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
	"github.com/gearman-operator/gearman-operator/gearman/worker"
)

func TestCancel(t *testing.T) {
	t.Parallel()
	addr := jobserver.Gearmand(t).Addr
	c := newClient(t, client.Options{Servers: []string{addr}})
	ctx := within(t)
	id, err := c.Background(ctx, &client.Task{Function: "f", Payload: []byte("canceled")})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := c.Background(ctx, &client.Task{Function: "f", Payload: []byte("kept")})
	if err != nil {
		t.Fatal(err)
	}
	if had, err := c.Cancel(ctx, id); err != nil || !had {
		t.Errorf("canceled: %v, %v, want true", had, err)
	}
	if had, err := c.Cancel(ctx, gearman.JobID{Server: addr, Handle: "H:none:1"}); err != nil || had {
		t.Errorf("a job that isn't there: %v, %v", had, err)
	}
	if _, err := c.Cancel(ctx, gearman.JobID{Server: addr, Handle: "a\nshutdown"}); !errors.Is(err, proto.ErrName) {
		t.Errorf("a handle that can't be sent: %v", err)
	}
	if _, err := c.Cancel(
		ctx, gearman.JobID{Server: "192.0.2.7:4730", Handle: "h"},
	); !errors.Is(err, client.ErrNoServer) {
		t.Errorf("a foreign server: %v", err)
	}
	got := make(chan string, 2)
	startWorker(t, 1, map[string]worker.Handler{"f": func(_ context.Context, j *worker.Job) ([]byte, error) {
		got <- string(j.Payload())
		return nil, nil
	}}, addr)
	if err := c.Wait(ctx, kept); err != nil {
		t.Error(err)
	}
	if ran := <-got; ran != "kept" || len(got) > 0 {
		t.Errorf("%q ran, and %d more", ran, len(got))
	}
	perl := newClient(t, client.Options{Servers: []string{jobserver.Perl(t).Addr}})
	id, err = perl.Background(ctx, &client.Task{Function: "f"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := perl.Cancel(ctx, id); !errors.Is(err, client.ErrUnsupported) {
		t.Errorf("at Perl's server: %v, want ErrUnsupported", err)
	}
}

// TestWait checks that Wait lasts until the job is gone, even if its job server is down for a
// while, and never longer than its context.
func TestWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		servers, c := memory(t, 1, client.Options{})
		id, err := c.Background(t.Context(), &client.Task{Function: "f"})
		if err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := c.Wait(short, id); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a job that stays: %v", err)
		}
		if n := servers[0].Stats().Requests[proto.TypeGetStatus]; n < 5 || n > 15 {
			t.Errorf("it asked %d times in 10 s", n)
		}
		done := make(chan error, 1)
		go func() { done <- c.Wait(t.Context(), id) }()
		time.Sleep(time.Second)
		servers[0].Refuse()
		servers[0].CloseConnections()
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(done) > 0 {
			t.Fatalf("while the server was away: %v", <-done)
		}
		servers[0].Restart() // without the job
		if err := servers[0].Accept(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := c.Wait(
			t.Context(), gearman.JobID{Server: "192.0.2.9:4730", Handle: "h"},
		); !errors.Is(err, client.ErrNoServer) {
			t.Errorf("a foreign server: %v", err)
		}
		if err := c.Wait(t.Context(), gearman.JobID{}); !errors.Is(err, proto.ErrName) {
			t.Errorf("no job: %v", err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := c.Wait(t.Context(), id); !errors.Is(err, client.ErrClosed) {
			t.Errorf("a closed client: %v", err)
		}
	})
}

func TestWithAddr(t *testing.T) {
	t.Parallel()
	first := gearmantest.NewServer(gearmantest.Options{})
	addr := first.Addr()
	first.Close() // its port is most likely still free
	s := gearmantest.NewServer(gearmantest.WithAddr(addr))
	defer s.Close()
	if s.Addr() != addr {
		t.Errorf("it listens on %s, want %s", s.Addr(), addr)
	}
}
