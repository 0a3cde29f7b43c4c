package interop

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
)

func newClient(t *testing.T, s *jobserver.Server) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{Servers: []string{s.Addr}, Exceptions: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

// TestForeignWorker: our clients with the workers of other libraries.
func TestForeignWorker(t *testing.T) {
	t.Parallel()
	for _, l := range libraries() {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			s := jobserver.Gearmand(t)
			l.serve(t, s)
			c := newClient(t, s)
			ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
			t.Cleanup(cancel)
			for name, payload := range payloads() {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					if len(payload) == 0 {
						l.need(t, nothing)
					}
					got, err := c.Do(ctx, &client.Task{Function: "reverse", Payload: payload})
					if want := reversed(payload); err != nil || string(got) != string(want) {
						t.Errorf(
							"got %d bytes %q, %v; want %d %q", len(got), short(string(got)), err, len(want),
							short(string(want)),
						)
					}
				})
			}
			t.Run("status, data, warning", func(t *testing.T) {
				t.Parallel()
				l.need(t, progress)
				var mu sync.Mutex
				var got []string
				add := func(format string, args ...any) {
					mu.Lock()
					defer mu.Unlock()
					got = append(got, fmt.Sprintf(format, args...))
				}
				result, err := c.Do(ctx, &client.Task{
					Function: "progress", Payload: []byte("x"),
					OnStatus:  func(n, d uint64) { add("status %d %d", n, d) },
					OnData:    func(data []byte) { add("data %s", data) },
					OnWarning: func(data []byte) { add("warning %s", data) },
				})
				if diff := cmp.Diff([]string{"status 1 3", "data part\x00of", "warning careful"}, got); diff != "" ||
					err != nil || string(result) != "done" {
					t.Errorf("got %q, %v; events (-want +got):\n%s", result, err, diff)
				}
			})
			t.Run("fail", func(t *testing.T) {
				t.Parallel()
				if got, err := c.Do(
					ctx, &client.Task{Function: "fail", Payload: []byte("fail")},
				); !errors.Is(err, client.ErrFailed) || got != nil {
					t.Errorf("got %q, %v; want %v", got, err, client.ErrFailed)
				}
			})
			t.Run("exception", func(t *testing.T) {
				t.Parallel()
				l.need(t, throws)
				_, err := c.Do(ctx, &client.Task{Function: "except", Payload: []byte("x")})
				if e, ok := errors.AsType[*gearman.JobError](err); !ok || string(e.Exception) != "boom" {
					t.Errorf("got %v, want the exception boom", err)
				}
			})
			t.Run("unique key", func(t *testing.T) {
				t.Parallel()
				l.need(t, uniqueTold)
				if got, err := c.Do(
					ctx, &client.Task{Function: "unique", Payload: []byte("x"), Key: "my-key"},
				); err != nil ||
					string(got) != "my-key" {
					t.Errorf("the worker was told %q, %v; want my-key", got, err)
				}
			})
			t.Run("background", func(t *testing.T) {
				t.Parallel()
				id, err := c.Background(
					ctx, &client.Task{Function: "reverse", Payload: []byte("x"), Priority: gearman.High},
				)
				if err != nil {
					t.Fatal(err)
				}
				for { // until the job server has forgotten it
					st, err := c.Status(ctx, id)
					if err != nil {
						t.Fatal(err)
					}
					if !st.Known {
						return
					}
					time.Sleep(5 * time.Millisecond)
				}
			})
		})
	}
}

// TestForeignWorkerQueue: equal jobs of ours wait for one run of another library's worker, and
// priorities apply there too.
func TestForeignWorkerQueue(t *testing.T) {
	t.Parallel()
	for _, l := range libraries() {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			s := jobserver.Gearmand(t)
			c := newClient(t, s)
			ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
			t.Cleanup(cancel)
			var order []string
			handles := map[string][]string{}
			var tasks []*client.Task
			for _, name := range []string{"low", "normal", "normal", "high"} {
				task := &client.Task{Function: "reverse", Payload: []byte(name)}
				task.OnCreated = func(id gearman.JobID) { handles[name] = append(handles[name], id.Handle) }
				task.OnComplete = func(result []byte) { order = append(order, string(reversed(result))) }
				switch name {
				case "low":
					task.Priority = gearman.Low
				case "normal":
					task.Key = "key"
				case "high":
					task.Priority = gearman.High
				}
				tasks = append(tasks, task)
			}
			done := make(chan error, 1)
			go func() {
				_, err := c.RunSet(ctx, tasks...)
				done <- err
			}()
			poll(
				t, s, "three jobs",
				func(rows []admin.FunctionStatus) bool { return len(rows) == 1 && rows[0].Total == 3 },
			)
			waiting(t, s, "key", 2)
			l.serve(t, s)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if same := handles["normal"]; len(same) != 2 || same[0] != same[1] {
				t.Errorf("equal jobs got the handles %q", same)
			}
			if diff := cmp.Diff([]string{"high", "normal", "normal", "low"}, order); diff != "" {
				t.Errorf("order (-want +got):\n%s", diff)
			}
		})
	}
}
