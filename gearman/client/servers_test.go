package client_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
)

func TestErrorNamesEveryServerTried(t *testing.T) {
	t.Parallel()
	servers := []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}
	c := newClient(t, client.Options{Servers: servers})
	for range 2 { // the second time all are in quarantine
		_, err := c.Background(within(t), &client.Task{Function: "f"})
		if !errors.Is(err, client.ErrNoServer) {
			t.Fatal(err)
		}
		for _, s := range servers {
			if strings.Count(err.Error(), "job server "+s) != 1 {
				t.Errorf("%q doesn't name %s once", err, s)
			}
		}
	}
}

func TestFailoverAndSelection(t *testing.T) { //nolint:tparallel // the subtests use the same servers one after another, and stop them in the end
	t.Parallel()
	a, b := jobserver.Gearmand(t), jobserver.Gearmand(t)
	live := []string{a.Addr, b.Addr}
	dead := "127.0.0.1:1"
	count := func(t *testing.T, c *client.Client, n int, task func(i int) *client.Task) map[string]int {
		t.Helper()
		got := make(map[string]int)
		for i := range n {
			id, err := c.Background(within(t), task(i))
			if err != nil {
				t.Fatal(err)
			}
			got[id.Server]++
		}
		return got
	}
	none := func(int) *client.Task { return &client.Task{Function: "f"} }
	t.Run("round robin passes over the dead", func(t *testing.T) {
		c := newClient(t, client.Options{Servers: []string{dead, a.Addr, b.Addr}})
		got := count(t, c, 30, none)
		if got[a.Addr] < 10 || got[b.Addr] < 10 {
			t.Error(got)
		}
	})
	t.Run("in order", func(t *testing.T) {
		c := newClient(t, client.Options{Servers: []string{dead, b.Addr, a.Addr}, Select: client.InOrder})
		if got := count(t, c, 10, none); got[b.Addr] != 10 {
			t.Error(got)
		}
	})
	t.Run("random", func(t *testing.T) {
		c := newClient(t, client.Options{Servers: live, Select: client.Random})
		if got := count(t, c, 200, none); got[a.Addr] < 50 || got[b.Addr] < 50 {
			t.Error(got)
		}
	})
	t.Run("by unique key", func(t *testing.T) {
		key := func(i int) *client.Task {
			return &client.Task{Function: "f", Key: gearman.Key(fmt.Sprint("key", i%50))}
		}
		c1 := newClient(t, client.Options{Servers: live, Select: client.ByKey})
		c2 := newClient(t, client.Options{Servers: []string{b.Addr, a.Addr}, Select: client.ByKey})
		got := count(t, c1, 50, key)
		if got[a.Addr] < 10 || got[b.Addr] < 10 {
			t.Errorf("keys are not spread: %v", got)
		}
		for i := range 50 {
			id1, err1 := c1.Background(within(t), key(i))
			id2, err2 := c2.Background(within(t), key(i))
			if err1 != nil || err2 != nil || id1 != id2 {
				t.Errorf("key %d: %v and %v (%v, %v)", i, id1, id2, err1, err2)
			}
		}
		if st, err := c1.StatusByKey(within(t), "key7"); err != nil || !st.Known {
			t.Errorf("%+v, %v", st, err)
		}
	})
	t.Run("server dies", func(t *testing.T) {
		d := jobserver.Gearmand(t)
		c := newClient(t, client.Options{Servers: []string{d.Addr, a.Addr}, Select: client.InOrder})
		if got := count(t, c, 3, none); got[d.Addr] != 3 {
			t.Error(got)
		}
		d.Stop()
		for { // a job sent before the loss is detected may or may not run, and its error must say so
			id, err := c.Background(within(t), &client.Task{Function: "f"})
			if err == nil {
				if id.Server != a.Addr {
					t.Errorf("job went to %s", id.Server)
				}
				break
			}
			if !errors.Is(err, client.ErrUncertain) {
				t.Fatal(err)
			}
		}
	})
}

func TestConnectionLostWhileTheJobRuns(t *testing.T) {
	t.Parallel()
	srv := jobserver.Gearmand(t)
	startWorker(t, 1, handlers, srv.Addr)
	c := newClient(t, client.Options{Servers: []string{srv.Addr}})
	started := make(chan struct{})
	go func() { <-started; srv.Stop() }() // this ends Do below
	_, err := c.Do(within(t), &client.Task{Function: "stuck", OnCreated: func(gearman.JobID) { close(started) }})
	if !errors.Is(err, client.ErrDisconnected) || !strings.Contains(err.Error(), srv.Addr) {
		t.Errorf("%v", err)
	}
}

func TestHungServer(t *testing.T) {
	t.Parallel()
	srv := jobserver.Gearmand(t)
	c := newClient(t, client.Options{Servers: []string{srv.Addr}, ReplyTimeout: 100 * time.Millisecond})
	ctx := within(t)
	// On a busy machine a response can take longer than ReplyTimeout; then the next attempt has it.
	submit := func() {
		t.Helper()
		for {
			_, err := c.Background(ctx, &client.Task{Function: "f"})
			if err == nil {
				return
			}
			if ctx.Err() != nil || !errors.Is(err, client.ErrUncertain) && !errors.Is(err, client.ErrNoServer) {
				t.Fatal(err)
			}
		}
	}
	submit()
	if err := srv.Pause(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Background(ctx, &client.Task{Function: "f"}); !errors.Is(err, client.ErrUncertain) {
		t.Errorf("a hung server: %v", err)
	}
	if err := srv.Resume(); err != nil {
		t.Fatal(err)
	}
	submit() // once it goes on
}
