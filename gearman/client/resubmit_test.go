package client_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// TestResubmitUncertain checks that a background job whose response is lost is submitted again, and
// joins the first one by its key.
func TestResubmitUncertain(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		task client.Task
		want error
		jobs uint64 // at the job server
	}{
		"never":                  {client.Task{}, client.ErrUncertain, 1},
		"without a key":          {client.Task{Resubmit: 1}, nil, 1},
		"with a key":             {client.Task{Resubmit: 1, Key: "k"}, nil, 1},
		"with no key whatever":   {client.Task{Resubmit: 1, NoKey: true}, nil, 2},
		"in the background":      {client.Task{Resubmit: 3, Background: true}, nil, 1},
		"to be run in some time": {client.Task{Resubmit: 1, At: time.Now().Add(24 * time.Hour)}, nil, 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ended := 0
				servers, c := memory(t, 1, client.Options{Middleware: []client.Middleware{
					func(context.Context, *client.Task) (func(*client.Result), error) {
						return func(*client.Result) { ended++ }, nil
					},
				}})
				typ := proto.TypeSubmitJobBG
				if !tc.task.At.IsZero() {
					typ = proto.TypeSubmitJobEpoch
				}
				servers[0].SetFault(gearmantest.Fault{DropOn: typ, DropNth: 1, DropHandled: true})
				tc.task.Function = "f"
				created := 0
				tc.task.OnCreated = func(gearman.JobID) { created++ }
				id, err := c.Background(t.Context(), &tc.task)
				if !errors.Is(err, tc.want) || (err == nil) != (id.Handle != "") || (err == nil) != (created == 1) {
					t.Errorf("%v, %v, accepted %d times, want %v", id, err, created, tc.want)
				}
				if got := servers[0].Stats().JobsAdded; got != tc.jobs {
					t.Errorf("the server got %d jobs, want %d", got, tc.jobs)
				}
				if ended != 1 {
					t.Errorf("the middleware was told of %d ends", ended)
				}
			})
		})
	}
}

// TestResubmitDisconnected checks that a foreground job runs again if its connection is lost while
// it runs, and that the data of the first run isn't part of the result.
func TestResubmitDisconnected(t *testing.T) {
	t.Parallel()
	for resubmit, want := range map[int]string{0: "", 1: "", 2: "part 3, end"} {
		synctest.Test(t, func(t *testing.T) {
			n := byte('0')
			c := script(t, client.Options{}, func(s *scripted) {
				for p, ok := s.next(); ok; p, ok = s.next() {
					if !p.Type.IsSubmit() {
						continue
					}
					n++
					h := s.accept()
					s.send(proto.AppendWork(nil, proto.Response, proto.TypeWorkData, h, "part "+string(n)))
					if n < '3' {
						return // this ends the connection
					}
					s.send(proto.AppendWork(nil, proto.Response, proto.TypeWorkComplete, h, ", end"))
				}
			})
			failures := 0
			got, err := c.Do(t.Context(), &client.Task{
				Function: "f", Resubmit: resubmit, OnFail: func(error) { failures++ },
			})
			if string(got) != want || (err == nil) != (want != "") || (failures == 1) != (err != nil) {
				t.Errorf("%d: %q, %v, %d failures told, want %q", resubmit, got, err, failures, want)
			}
			if err != nil && !errors.Is(err, client.ErrDisconnected) {
				t.Errorf("%d: %v", resubmit, err)
			}
		})
	}
}

// TestResubmitEnds checks that while the job server is down, the submissions are used up one after
// the other, with pauses between them, and that the error still says that the job may run.
func TestResubmitEnds(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		end  func(cancel context.CancelFunc, c *client.Client, s *gearmantest.Server)
		want error
	}{
		"all used up": {func(context.CancelFunc, *client.Client, *gearmantest.Server) {}, client.ErrNoServer},
		"the caller leaves": {
			func(cancel context.CancelFunc, _ *client.Client, _ *gearmantest.Server) { cancel() }, context.Canceled,
		},
		"the client is closed": {
			func(_ context.CancelFunc, c *client.Client, _ *gearmantest.Server) { _ = c.Close() }, client.ErrClosed,
		},
		"the server comes back": {
			func(_ context.CancelFunc, _ *client.Client, s *gearmantest.Server) { _ = s.Accept() }, nil,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				servers, c := memory(t, 1, client.Options{QuarantineMin: 10 * time.Second, QuarantineMax: time.Minute})
				servers[0].SetFault(gearmantest.Fault{DropOn: proto.TypeSubmitJobBG, DropNth: 1, DropHandled: true})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				done := make(chan error)
				go func() {
					_, err := c.Background(ctx, &client.Task{Function: "f", Resubmit: 3})
					done <- err
				}()
				synctest.Wait() // it is pausing
				servers[0].Refuse()
				tc.end(cancel, c, servers[0])
				err := <-done
				if !errors.Is(err, tc.want) || tc.want != nil && !errors.Is(err, client.ErrUncertain) {
					t.Errorf("%v, want %v", err, tc.want)
				}
			})
		})
	}
}

// TestResubmitNoFailure checks that a job that failed is not submitted again.
func TestResubmitNoFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		c := script(t, client.Options{}, func(s *scripted) {
			for p, ok := s.next(); ok; p, ok = s.next() {
				if p.Type.IsSubmit() {
					n++
					s.send(proto.AppendWorkFail(nil, proto.Response, s.accept()))
				}
			}
		})
		_, err := c.Do(t.Context(), &client.Task{Function: "f", Resubmit: 5})
		if !errors.Is(err, client.ErrFailed) || n != 1 {
			t.Errorf("%v after %d submissions", err, n)
		}
	})
}

func TestResubmitMistakes(t *testing.T) {
	t.Parallel()
	c := newClient(t, client.Options{Servers: []string{"192.0.2.1"}})
	for name, task := range map[string]*client.Task{
		"below 0":  {Resubmit: -1},
		"a reader": {Resubmit: 1, PayloadFrom: strings.NewReader("x"), PayloadSize: 1},
		"a writer": {Resubmit: 1, ResultTo: io.Discard},
		"parts":    {Resubmit: 1, OnData: func([]byte) {}},
	} {
		task.Function = "f"
		if _, err := c.Do(t.Context(), task); !errors.Is(err, client.ErrTask) || !strings.Contains(
			err.Error(), "Resubmit",
		) {
			t.Errorf("%s: %v", name, err)
		}
	}
	task := &client.Task{Function: "f", Resubmit: 1}
	results, err := c.RunSet(t.Context(), task)
	if err != nil || !errors.Is(results[0].Err, client.ErrTask) {
		t.Errorf("a set: %v, %v", results, err)
	}
	c.Produce(t.Context(), task, nil)
	if err := c.Flush(t.Context()); !errors.Is(err, client.ErrTask) {
		t.Errorf("Produce: %v", err)
	}
}
