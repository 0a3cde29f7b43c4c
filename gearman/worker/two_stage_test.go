package worker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
)

// stopping runs a worker of one job, whose handler is h, and calls f once the job runs.
func stopping(t *testing.T, h func(ctx context.Context, w *Worker) error, f func(w *Worker, run <-chan error)) {
	t.Helper()
	s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
	defer s.Close()
	w, err := New(Options{Servers: []string{s.Addr()}, Dialer: s.DialContext})
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	if err := w.Handle(Function{Name: "f", Handler: func(ctx context.Context, _ *Job) ([]byte, error) {
		close(started)
		return nil, h(ctx, w)
	}}); err != nil {
		t.Fatal(err)
	}
	s.Submit("f", "", []byte("x"))
	run := make(chan error, 1)
	go func() { run <- w.Run(context.Background()) }() // joined by f
	<-started
	f(w, run)
}

func TestStopWaitsForTheJob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		stopping(t, func(context.Context, *Worker) error { <-release; return nil }, func(w *Worker, run <-chan error) {
			stopped := make(chan error, 1)
			go func() { stopped <- w.Stop(context.Background()) }()
			synctest.Wait()
			select {
			case err := <-stopped:
				t.Errorf("Stop returned %v while the job ran", err)
			default:
			}
			close(release)
			if err := <-run; err != nil {
				t.Errorf("Run: %v", err)
			}
			if err := <-stopped; err != nil {
				t.Errorf("Stop: %v", err)
			}
			if err := w.Stop(context.Background()); err != nil {
				t.Errorf("Stop of a worker that has ended: %v", err)
			}
		})
	})
}

func TestStopInTwoStages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := func(ctx context.Context, _ *Worker) error { <-ctx.Done(); return context.Cause(ctx) }
		stopping(t, h, func(w *Worker, run <-chan error) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			err := w.Stop(ctx)
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 jobs still run") {
				t.Errorf("Stop: %v", err)
			}
			if err := w.StopAndCancel(context.Background()); err != nil {
				t.Errorf("StopAndCancel: %v", err)
			}
			if err := <-run; !errors.Is(err, ErrStopped) {
				t.Errorf("Run: %v", err)
			}
		})
	})
}

func TestStopFromItsOwnHandler(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]struct {
		call func(*Worker, context.Context) error
		want error
	}{"soft": {(*Worker).Stop, nil}, "hard": {(*Worker).StopAndCancel, ErrStopped}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := func(ctx context.Context, w *Worker) error {
					ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Hour)
					defer cancel()
					err := stop.call(w, ctx)
					if err != nil {
						t.Errorf("from the handler: %v, want that it doesn't wait", err)
					}
					return err
				}
				stopping(t, h, func(_ *Worker, run <-chan error) {
					if err := <-run; !errors.Is(err, stop.want) {
						t.Errorf("Run: %v, want %v", err, stop.want)
					}
				})
			})
		})
	}
}

func TestStopBeforeRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		defer s.Close()
		w, err := New(Options{Servers: []string{s.Addr()}, Dialer: s.DialContext})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Handle(Function{Name: "f", Handler: reverse}); err != nil {
			t.Fatal(err)
		}
		if err := w.Stop(context.Background()); err != nil {
			t.Errorf("Stop: %v", err)
		}
		if err := w.Run(context.Background()); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}
