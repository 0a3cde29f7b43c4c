package interop

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/worker"
)

// startWorker runs our worker with these handlers until the test ends.
func startWorker(t *testing.T, s *jobserver.Server, handlers map[string]worker.Handler) {
	t.Helper()
	w, err := worker.New(worker.Options{Servers: []string{s.Addr}})
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range handlers {
		if err := w.Handle(worker.Function{Name: name, Handler: h}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("our worker: %v", err)
		}
	})
	for name := range handlers {
		waitWorkers(t, s, name)
	}
}

// TestForeignClient: clients of other libraries with our workers.
func TestForeignClient(t *testing.T) {
	t.Parallel()
	for _, l := range libraries() {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			s := jobserver.Gearmand(t)
			startWorker(t, s, map[string]worker.Handler{
				"reverse": func(_ context.Context, j *worker.Job) ([]byte, error) { return reversed(j.Payload()), nil },
				"fail":    func(context.Context, *worker.Job) ([]byte, error) { return nil, errors.New("no") },
				"except": func(context.Context, *worker.Job) ([]byte, error) {
					return nil, &gearman.JobError{Exception: []byte("boom")}
				},
				"unique": func(_ context.Context, j *worker.Job) ([]byte, error) { return []byte(j.Key()), nil },
				"progress": func(_ context.Context, j *worker.Job) ([]byte, error) {
					return []byte("done"), errors.Join(
						j.Status(1, 3), j.Data([]byte("part\x00of")), j.Warning([]byte("careful")),
					)
				},
			})
			for name, payload := range payloads() {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					if got := l.run(t, s, "foreground", "reverse", "", payload); got.out != string(reversed(payload)) {
						t.Errorf(
							"got %d bytes %q, want %d %q; %v %q", len(got.out), short(got.out), len(payload),
							short(string(reversed(payload))), got.err, got.events,
						)
					}
				})
			}
			t.Run("status, data, warning", func(t *testing.T) {
				t.Parallel()
				l.need(t, events)
				got := l.run(t, s, "foreground", "progress", "", []byte("x"))
				want := []string{"status 1 3", "data part\x00of", "warning careful", "complete"}
				if diff := cmp.Diff(want, got.events); diff != "" || got.out != "done" {
					t.Errorf("result %q, want \"done\"; events (-want +got):\n%s", got.out, diff)
				}
			})
			t.Run("fail", func(t *testing.T) {
				t.Parallel()
				got := l.run(t, s, "foreground", "fail", "", []byte("x"))
				if len(got.events) != 1 || !strings.Contains(got.events[0], "fail") || got.out != "" {
					t.Errorf("got %q, %q; want a failure", got.out, got.events)
				}
			})
			t.Run("exception", func(t *testing.T) {
				t.Parallel()
				l.need(t, exceptions)
				got := l.run(t, s, "foreground", "except", "", []byte("x"))
				if len(got.events) == 0 || got.events[0] != "exception boom" {
					t.Errorf("got %q, want the exception", got.events)
				}
			})
			t.Run("unique key", func(t *testing.T) {
				t.Parallel()
				if got := l.run(t, s, "foreground", "unique", "my-key", []byte("x")); got.out != "my-key" {
					t.Errorf("our worker was told %q, want my-key", got.out)
				}
			})
		})
	}
}

// TestForeignClientsCoalesce: equal jobs of other libraries' clients run once, and both clients get
// the result.
func TestForeignClientsCoalesce(t *testing.T) {
	t.Parallel()
	for _, l := range libraries() {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			s := jobserver.Gearmand(t)
			goOn := make(chan struct{})
			var mu sync.Mutex
			ran := 0
			startWorker(t, s, map[string]worker.Handler{"slow": func(context.Context, *worker.Job) ([]byte, error) {
				mu.Lock()
				ran++
				mu.Unlock()
				<-goOn
				return []byte("same"), nil
			}})
			results := make(chan run, 2)
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() { results <- l.run(t, s, "foreground", "slow", "key", []byte("x")) })
			}
			waiting(t, s, "key", 2)
			close(goOn)
			wg.Wait()
			for range 2 {
				if got := <-results; got.out != "same" {
					t.Errorf("got %q, %q, %v", got.out, got.events, got.err)
				}
			}
			if ran != 1 {
				t.Errorf("the job ran %d times, want once", ran)
			}
		})
	}
}

func TestForeignBackgroundAndPriorities(t *testing.T) {
	t.Parallel()
	for _, l := range libraries() {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			l.need(t, submits)
			s := jobserver.Gearmand(t)
			want := []string{"high-background", "background", "low-background"}
			for i := range want { // in reverse order
				kind := want[len(want)-1-i]
				got := l.run(t, s, kind, "f", "", []byte(kind))
				if got.err != nil || len(got.events) > 0 {
					t.Fatalf("%s: %v %q", kind, got.err, got.events)
				}
				if handle := fmt.Sprint(":", i+1); l.lacks[background] == "" && !strings.HasSuffix(got.out, handle) {
					t.Errorf("%s: got the handle %q, want one that ends with %s", kind, got.out, handle)
				}
			}
			poll(
				t, s, "all jobs",
				func(rows []admin.FunctionStatus) bool { return len(rows) == 1 && int(rows[0].Total) == len(want) },
			)
			ran := make(chan string, len(want))
			startWorker(t, s, map[string]worker.Handler{"f": func(_ context.Context, j *worker.Job) ([]byte, error) {
				ran <- string(j.Payload())
				return nil, nil
			}})
			for _, kind := range want {
				if got := <-ran; got != kind {
					t.Errorf("our worker got the job of %s, want %s", got, kind)
				}
			}
		})
	}
}
