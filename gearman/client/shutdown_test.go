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
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// TestShutdown checks that Shutdown waits for the calls under way, and for none that come later.
func TestShutdown(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		takes, limit time.Duration
		want         error // of Shutdown
		call         error
	}{
		"the job ends":    {10 * time.Second, time.Minute, nil, nil},
		"the time is up":  {time.Minute, 10 * time.Second, context.DeadlineExceeded, client.ErrClosed},
		"nothing to wait": {0, time.Minute, nil, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := script(t, client.Options{}, func(s *scripted) {
					for p, ok := s.next(); ok; p, ok = s.next() {
						if p.Type.IsSubmit() {
							h := s.accept()
							time.Sleep(tc.takes)
							s.send(response(proto.TypeWorkComplete, h, "done"))
						}
					}
				})
				call := make(chan error, 1)
				go func() {
					_, err := c.Do(context.Background(), &client.Task{Function: "f"})
					call <- err
				}()
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), tc.limit)
				defer cancel()
				late := make(chan error, 3)
				go func() {
					time.Sleep(time.Second) // while Shutdown waits, if it does
					_, err := c.Background(context.Background(), &client.Task{Function: "f"})
					late <- err
					results, _ := c.RunSet(context.Background(), &client.Task{Function: "f"})
					late <- results[0].Err
					c.Produce(
						context.Background(), &client.Task{Function: "f"},
						func(_ gearman.JobID, err error) { late <- err },
					)
				}()
				if err := c.Shutdown(ctx); !errors.Is(err, tc.want) {
					t.Errorf("Shutdown: %v, want %v", err, tc.want)
				}
				if err := <-call; !errors.Is(err, tc.call) {
					t.Errorf("the call: %v, want %v", err, tc.call)
				}
				for range cap(late) {
					if err := <-late; !errors.Is(err, client.ErrClosed) {
						t.Errorf("a call that came later: %v", err)
					}
				}
				if err := c.Shutdown(t.Context()); err != nil {
					t.Errorf("once more: %v", err)
				}
			})
		})
	}
}

// TestShutdownAfterProduce checks that produced jobs are accepted before the client is closed.
func TestShutdownAfterProduce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		servers, c := memory(t, 1, client.Options{})
		servers[0].SetFault(gearmantest.Fault{Delay: time.Second})
		for range 10 {
			c.Produce(t.Context(), &client.Task{Function: "f"}, nil)
		}
		if err := c.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := c.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		if n := servers[0].Function("f").Total; n != 10 {
			t.Errorf("%d jobs were accepted, want 10", n)
		}
	})
}
