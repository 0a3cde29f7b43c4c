package worker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

func TestTwoServersShareASlot(t *testing.T) {
	t.Parallel()
	a, b := jobserver.Gearmand(t).Addr, jobserver.Gearmand(t).Addr
	const jobs = 40
	for _, addr := range []string{a, b} {
		c := newClient(t, addr)
		for range jobs {
			c.submit(proto.TypeSubmitJobBG, "f", "", "x")
		}
	}
	var mu sync.Mutex
	var from []string
	atOnce, most := 0, 0
	finished := make(chan struct{})
	w := start(t, Options{
		Servers: []string{a, b},
	}, map[string]Handler{"f": func(_ context.Context, j *Job) ([]byte, error) {
		mu.Lock()
		atOnce++
		most = max(most, atOnce)
		from = append(from, j.Server())
		n := len(from)
		mu.Unlock()
		time.Sleep(100 * time.Microsecond)
		mu.Lock()
		atOnce--
		mu.Unlock()
		if n == 2*jobs {
			close(finished)
		}
		return nil, nil
	}})
	<-finished
	w.beginStop()
	if err := w.wait(); err != nil {
		t.Error(err)
	}
	if most != 1 {
		t.Errorf("%d jobs at once in one slot", most)
	}
	// Once both are connected they take turns: neither may be served twice in a row while the other
	// still has jobs.
	first := map[string]int{a: slices.Index(from, a), b: slices.Index(from, b)}
	both := max(first[a], first[b])
	for i := both; i+1 < len(from) && i < jobs; i++ {
		if from[i] == from[i+1] {
			t.Errorf("jobs %d and %d both came from %s: %v", i, i+1, from[i], from)
			break
		}
	}
}

func TestClientIDPerSlot(t *testing.T) {
	t.Parallel()
	addr := jobserver.Gearmand(t).Addr
	var mu sync.Mutex
	life := 1
	w := start(t, Options{Servers: []string{addr}, Concurrency: 2, ClientID: func(slot int) string {
		mu.Lock()
		defer mu.Unlock()
		return fmt.Sprintf("slot=%d;life=%d", slot, life)
	}}, map[string]Handler{"f": reverse})
	ready(t, w)
	ids := func() []string {
		c, err := admin.Dial(t.Context(), addr, admin.Options{Timeout: 60 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns, err := c.Workers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, w := range conns {
			if w.ID != "-" {
				out = append(out, w.ID)
			}
		}
		slices.Sort(out)
		return out
	}
	eventually(
		t, "both ids show", func() bool { return slices.Equal(ids(), []string{"slot=0;life=1", "slot=1;life=1"}) },
	)
	mu.Lock()
	life = 2
	mu.Unlock()
	if err := w.RenewClientID(0); err != nil {
		t.Fatal(err)
	}
	eventually(
		t, "slot 0's id is new", func() bool { return slices.Equal(ids(), []string{"slot=0;life=2", "slot=1;life=1"}) },
	)
	if err := w.RenewClientID(2); err == nil {
		t.Error("RenewClientID of a slot that isn't there")
	}
}

func TestReconnectsAfterRestart(t *testing.T) {
	t.Parallel()
	srv := jobserver.Gearmand(t)
	var mu sync.Mutex
	ups, downs := 0, 0
	w := start(t, Options{Servers: []string{srv.Addr}, ReconnectMax: 50 * time.Millisecond, Hooks: Hooks{
		ConnUp: func(Conn) { mu.Lock(); ups++; mu.Unlock() },
		ConnDown: func(_ Conn, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil { // it is nil when the test ends
				downs++
			}
		},
	}}, map[string]Handler{"f": reverse})
	ready(t, w)
	srv.Stop()
	eventually(t, "the loss shows", func() bool { return w.Status().Connected == 0 })
	srv.Restart(t)
	ready(t, w)
	c := newClient(t, srv.Addr)
	h := c.submit(proto.TypeSubmitJob, "f", "", "ab")
	if got := c.next(); got != "WORK_COMPLETE|"+h+"|ba" {
		t.Error(got)
	}
	mu.Lock()
	defer mu.Unlock()
	if ups != 2 || downs != 1 || w.Status().Servers[0].Reconnects == 0 {
		t.Errorf("%d ups, %d downs, %+v", ups, downs, w.Status())
	}
}
