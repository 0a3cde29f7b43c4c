package client_test

import (
	"path/filepath"
	"testing"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/internal/check"
)

// TestBackgroundJobsOutliveTheJobServer checks that jobs without a key don't replace each other in
// a persistent queue, whichever method submitted them. A persistent queue keeps one background job
// for each function and key.
func TestBackgroundJobsOutliveTheJobServer(t *testing.T) {
	t.Parallel()
	ctx := within(t)
	s := jobserver.Gearmand(t, "--queue-type=libsqlite3", "--libsqlite3-db="+filepath.Join(t.TempDir(), "queue"))
	c := newClient(t, client.Options{Servers: []string{s.Addr}})
	for range 3 {
		if _, err := c.Background(ctx, &client.Task{Function: "alone", Payload: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Background(ctx, &client.Task{Function: "given", Payload: []byte("x"), Key: "k"}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Background(ctx, &client.Task{Function: "none", Payload: []byte("x"), NoKey: true}); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		c.Produce(ctx, &client.Task{Function: "produced", Payload: []byte("x")}, nil)
	}
	if err := c.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	s.Restart(t)
	a, err := admin.Dial(ctx, s.Addr, admin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	rows, err := a.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, r := range rows {
		got[r.Function] = int64(r.Total)
	}
	if diff := check.Diff(map[string]int64{"alone": 3, "given": 1, "none": 1, "produced": 100}, got); diff != "" {
		t.Errorf("jobs after a restart (-want +got):\n%s", diff)
	}
}
