package client_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// TestQueueFull checks that the error of a refused job names the job server once, and can be
// distinguished from other errors.
func TestQueueFull(t *testing.T) {
	t.Parallel()
	ctx := within(t)
	s := jobserver.Gearmand(t)
	a, err := admin.Dial(ctx, s.Addr, admin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := errors.Join(a.CreateFunction(ctx, "f"), a.SetMaxQueue(ctx, "f", 1)); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, client.Options{Servers: []string{s.Addr}})
	if _, err := c.Background(ctx, &client.Task{Function: "f"}); err != nil {
		t.Fatal(err)
	}
	check := func(what string, err error) {
		t.Helper()
		var se *proto.ServerError
		if !errors.Is(err, client.ErrQueueFull) || !errors.As(err, &se) || se.Code != proto.CodeQueueError {
			t.Errorf("%s: got %v, want ErrQueueFull", what, err)
		}
		if n := strings.Count(fmt.Sprint(err), s.Addr); n != 1 {
			t.Errorf("%s: %q names the server %d times, want once", what, err, n)
		}
		if errors.Is(err, client.ErrUncertain) || errors.Is(err, client.ErrNoServer) {
			t.Errorf("%s: %v: the job is known to be refused", what, err)
		}
	}
	_, err = c.Background(ctx, &client.Task{Function: "f"})
	check("background", err)
	_, err = c.Do(ctx, &client.Task{Function: "f"})
	check("foreground", err)
	results, err := c.RunSet(
		ctx, &client.Task{Function: "f", Background: true}, &client.Task{Function: "g", Background: true},
	)
	if err != nil || results[1].Err != nil {
		t.Errorf("set: %v, %v", err, results)
	}
	check("set", results[0].Err)
	c.Produce(ctx, &client.Task{Function: "f"}, nil)
	check("produced", c.Flush(ctx))
}
