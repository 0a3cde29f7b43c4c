//go:build unix

package worker

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// totals returns the queue depths of functions at a job server.
func totals(t *testing.T, addr string, functions ...string) map[string]int {
	t.Helper()
	c, err := admin.Dial(t.Context(), addr, admin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	rows, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for _, row := range rows {
		if slices.Contains(functions, row.Function) {
			out[row.Function] = int(row.Total)
		}
	}
	return out
}

func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// submitRaw submits a job, and waits for its end if it is a foreground job.
func submitRaw(t *testing.T, addr string, typ proto.Type, key, payload string) (last proto.Packet) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := proto.NewConn(nc, proto.Limits{})
	if err := c.Exchange(t.Context(), proto.AppendSubmit(nil, typ, "f", key, payload), func(c *proto.Conn) error {
		for {
			if last, err = c.Next(); err != nil {
				return err
			}
			switch last.Type {
			case proto.TypeJobCreated:
				if typ == proto.TypeSubmitJobBG {
					return nil
				}
			case proto.TypeWorkComplete, proto.TypeWorkFail, proto.TypeWorkException, proto.TypeError:
				return nil
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	return last
}

// TestRetryOnGearmand checks retries on a real gearmand, and after a kill of gearmand if its queue
// is persistent.
func TestRetryOnGearmand(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]func(t *testing.T) []string{
		"plain":         func(*testing.T) []string { return nil },
		"job-retries=1": func(*testing.T) []string { return []string{"--job-retries=1"} },
		"job-retries=2": func(*testing.T) []string { return []string{"--job-retries=2"} },
		"sqlite": func(t *testing.T) []string {
			return []string{"--queue-type=libsqlite3", "--libsqlite3-db=" + filepath.Join(t.TempDir(), "queue")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := jobserver.Gearmand(t, options(t)...)
			r := newRuns()
			w, err := New(
				Options{
					Servers: []string{s.Addr}, Concurrency: 3, Hooks: Hooks{JobDone: r.done}, RegrabMin: time.Second,
					RegrabMax: time.Second,
				},
			)
			if err != nil {
				t.Fatal(err)
			}
			policy := RetryPolicy{Attempts: 3, CrashAttempts: 3, Backoff: time.Second, DeadLetter: "dead"}
			if err := w.Handle(Function{Name: "f", Handler: r.failing, Retry: &policy}); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- w.Run(ctx) }()
			<-w.Ready()

			var payloads []string
			for i := range 4 {
				payloads = append(
					payloads, fmt.Sprint("1 a", i), fmt.Sprint("2 b", i), fmt.Sprint("3 c", i),
					fmt.Sprint("crash 3 d", i), fmt.Sprint("poison e", i), fmt.Sprint("permanent f", i),
				)
			}
			for i, p := range payloads {
				key := ""
				if i%2 == 0 {
					key = fmt.Sprint("key-", i)
				}
				submitRaw(t, s.Addr, proto.TypeSubmitJobBG, key, p)
			}
			if name == "sqlite" {
				until(
					t, "all jobs have run once",
					func() bool {
						return totals(t, s.Addr, "f")["f"] == 0 && totals(t, s.Addr, "f.retry")["f.retry"] > 0
					},
				)
				s.Restart(t) // kill -9: the waiting jobs must be there again
			}
			until(t, "all jobs have ended", func() bool {
				n := totals(t, s.Addr, "f", "f.retry", "dead")
				return n["f"]+n["f.retry"] == 0 && n["dead"] == 8
			})
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
			for _, p := range payloads {
				want := map[byte][]int{'1': {1}, '2': {1, 2}, '3': {1, 2, 3}, 'c': {1, 2, 3}, 'p': {1, 2, 3}}[p[0]]
				if p[:2] == "pe" {
					want = want[:1]
				}
				attempts, _ := r.of(p)
				if name == "sqlite" {
					attempts = slices.Compact(attempts) // the kill can make a job that was about to end run once more
				}
				if !slices.Equal(attempts, want) {
					t.Errorf("%s: attempts %v, want %v", p, attempts, want)
				}
			}
		})
	}
}

// TestRetryClientsOnGearmand checks that waiting clients are told of the first failure, and of a
// crash only after three runs in the slot.
func TestRetryClientsOnGearmand(t *testing.T) {
	t.Parallel()
	s := jobserver.Gearmand(t)
	r := newRuns()
	w, err := New(Options{Servers: []string{s.Addr}, Concurrency: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Handle(
		Function{
			Name: "f", Handler: r.failing,
			Retry: &RetryPolicy{Attempts: 5, CrashAttempts: 3, Backoff: time.Second, DeadLetter: "dead"},
		},
	); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	<-w.Ready()
	if end := submitRaw(t, s.Addr, proto.TypeSubmitJob, "a", "3"); end.Type != proto.TypeWorkFail {
		t.Errorf("a client that waits does not hear of the first failure: %v", end)
	}
	if end := submitRaw(t, s.Addr, proto.TypeSubmitJob, "b", "crash 3"); end.Type != proto.TypeWorkComplete {
		t.Errorf("the client of a job that crashes twice gets %v", end)
	}
	if n := totals(t, s.Addr, "f", "f.retry", "dead"); n["f"]+n["f.retry"]+n["dead"] != 0 {
		t.Errorf("%v jobs are left of clients that know", n)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
