package faults

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

func newClient(t *testing.T, o client.Options, servers ...*gearmantest.Server) *client.Client {
	t.Helper()
	for _, s := range servers {
		o.Servers = append(o.Servers, s.Addr())
	}
	o.Dialer = gearmantest.Dialer(servers...)
	c, err := client.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func closeClient(t *testing.T, c *client.Client) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// TestClientSubmit: a submission that meets a fault either succeeds within its time-outs, or fails
// with an error that has the job server, the step, and whether the job may have been taken. It is
// never sent twice.
func TestClientSubmit(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault gearmantest.Fault
		is    error // nil: it succeeds
		// at most; a silent server is detected between one and two ReplyTimeouts (30 s) after its
		// last answer
		takes time.Duration
		jobs  int // in the queue afterwards
	}{
		"none": {jobs: 1},
		"hang": {
			fault: gearmantest.Fault{Hang: true}, is: client.ErrUncertain, takes: 2 * 30 * time.Second, jobs: 1,
		},
		"late": {fault: gearmantest.Fault{Delay: 20 * time.Second}, takes: 20 * time.Second, jobs: 1},
		"too late": {
			fault: gearmantest.Fault{Delay: time.Hour}, is: client.ErrUncertain, takes: 2 * 30 * time.Second, jobs: 1,
		},
		"slow":            {fault: gearmantest.Fault{BytesPerSecond: 2}, takes: 30 * time.Second, jobs: 1},
		"cut in a header": {fault: gearmantest.Fault{CutAfter: 5}, is: client.ErrUncertain, jobs: 1},
		"cut in a handle": {fault: gearmantest.Fault{CutAfter: 20}, is: client.ErrUncertain, jobs: 1},
		"garbage": {
			fault: gearmantest.Fault{Garbage: []byte("\x00RUBBISH of some length")}, is: client.ErrUncertain, jobs: 1,
		},
		"garbled text": {
			fault: gearmantest.Fault{Garbage: []byte("HTTP/1.1 400 Bad Request\r\n\r\n")}, is: client.ErrUncertain,
			jobs: 1,
		},
		"wrong packet": {
			fault: gearmantest.Fault{Garbage: proto.AppendEmpty(nil, proto.Response, proto.TypeNoJob)},
			is:    client.ErrUncertain, jobs: 1,
		},
		"dropped": {fault: gearmantest.Fault{DropOn: proto.TypeSubmitJobBG}, is: client.ErrUncertain},
		"answer dropped": {
			fault: gearmantest.Fault{DropOn: proto.TypeSubmitJobBG, DropHandled: true}, is: client.ErrUncertain,
			jobs: 1,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := gearmantest.NewServer(gearmantest.InMemory(address))
				defer s.Close()
				other := gearmantest.NewServer(gearmantest.InMemory("192.0.2.2:4730"))
				defer other.Close()
				c := newClient(t, client.Options{Select: client.InOrder}, s, other)
				defer closeClient(t, c)
				if err := c.Echo(t.Context(), []byte("up")); err != nil {
					t.Fatal(err)
				}
				s.SetFault(tc.fault)
				begin := time.Now()
				id, err := c.Background(t.Context(), &client.Task{Function: "f", Payload: []byte("x")})
				if took := time.Since(begin); took > tc.takes {
					t.Errorf("took %s, want at most %s", took, tc.takes)
				}
				if tc.is == nil {
					if err != nil || id.Server != address || id.Handle == "" {
						t.Errorf("got %v, %v", id, err)
					}
				} else {
					says(t, err, tc.is, address)
				}
				s.SetFault(gearmantest.Fault{})
				synctest.Wait()
				if got := s.Function("f").Total; got != tc.jobs {
					t.Errorf("the server has %d jobs, want %d", got, tc.jobs)
				}
				if got := other.Function("f").Total; got != 0 {
					t.Errorf("the job went to another server, too")
				}
				time.Sleep(time.Minute) // out of quarantine
				if id, err := c.Background(
					t.Context(), &client.Task{Function: "f", Payload: []byte("x")},
				); err != nil || id.Server != address {
					t.Errorf("when healed: %v, %v", id, err)
				}
			})
		})
	}
}

func TestClientDo(t *testing.T) {
	t.Parallel()
	result := proto.AppendWork(
		nil, proto.Response, proto.TypeWorkComplete, "H:gearmantest:1", "a result of some length",
	)
	tests := map[string]struct {
		breaks func(s *gearmantest.Server) // while the job waits
		is     error
		takes  time.Duration // at most; if unset the end comes at once
	}{
		"restart with the queue": {
			breaks: func(s *gearmantest.Server) { s.RestartWithQueue() }, is: client.ErrDisconnected,
		},
		"restart without the queue": {
			breaks: func(s *gearmantest.Server) { s.Restart() }, is: client.ErrDisconnected,
		},
		"connections closed": {
			breaks: func(s *gearmantest.Server) { s.CloseConnections() }, is: client.ErrDisconnected,
		},
		"hang": {
			breaks: func(s *gearmantest.Server) { s.SetFault(gearmantest.Fault{Hang: true}) },
			is:     client.ErrDisconnected, // after KeepAlive (1 min) of silence it gets an echo request
			takes:  3 * time.Minute,
		},
		"cut": {breaks: sends(gearmantest.Fault{CutAfter: 20}), is: client.ErrDisconnected},
		"garbage": {
			breaks: sends(gearmantest.Fault{Garbage: []byte("\x00RUBBISH of some length")}), is: client.ErrDisconnected,
		},
		"garbled text": {
			breaks: sends(gearmantest.Fault{Garbage: []byte("HTTP/1.1 400 Bad Request\r\n\r\n")}),
			is:     client.ErrDisconnected,
		},
		// These answers begin and don't continue.
		"a byte of text": {breaks: sends(gearmantest.Fault{Garbage: []byte("H")}), is: client.ErrDisconnected},
		"half a header": {
			breaks: sends(gearmantest.Fault{Garbage: result[:5]}), is: client.ErrDisconnected, takes: 30 * time.Second,
		},
		"half a result": {
			breaks: sends(gearmantest.Fault{Garbage: result[:40]}), is: client.ErrDisconnected, takes: 30 * time.Second,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := gearmantest.NewServer(gearmantest.InMemory(address))
				defer s.Close()
				c := newClient(t, client.Options{}, s)
				defer closeClient(t, c)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				created := make(chan gearman.JobID, 1)
				done := make(chan error, 1)
				go func() {
					_, err := c.Do(
						ctx,
						&client.Task{
							Function: "f", Payload: []byte("x"), OnCreated: func(id gearman.JobID) { created <- id },
						},
					)
					done <- err
				}()
				id := <-created
				begin := time.Now()
				tc.breaks(s)
				says(t, <-done, tc.is, address, id.Handle, "f")
				if took := time.Since(begin); took > tc.takes {
					t.Errorf("took %s, want at most %s", took, tc.takes)
				}
			})
		})
	}
}

// sends makes the server send the job's result with a fault.
func sends(f gearmantest.Fault) func(*gearmantest.Server) {
	return func(s *gearmantest.Server) {
		s.SetFault(f)
		finish(s)
	}
}

// finish completes the job of f over a connection of its own, without waiting for answers, since
// the server is broken.
func finish(s *gearmantest.Server) {
	nc, err := s.DialContext(context.Background(), "tcp", address)
	if err != nil {
		panic(err)
	}
	out := proto.AppendCanDo(nil, "f")
	out = proto.AppendEmpty(out, proto.Request, proto.TypeGrabJob)
	out = proto.AppendWork(out, proto.Request, proto.TypeWorkComplete, "H:gearmantest:1", "a result of some length")
	if _, err := nc.Write(out); err != nil {
		panic(err)
	}
	synctest.Wait()
	if err := nc.Close(); err != nil {
		panic(err)
	}
}

// TestClientSlowResult: the client waits for a result that comes slowly, in pieces, as long as
// pieces come.
func TestClientSlowResult(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory(address))
		defer s.Close()
		c := newClient(t, client.Options{}, s)
		defer closeClient(t, c)
		created := make(chan struct{})
		type outcome struct {
			result []byte
			err    error
		}
		done := make(chan outcome, 1)
		go func() {
			got, err := c.Do(
				t.Context(),
				&client.Task{Function: "f", Payload: []byte("x"), OnCreated: func(gearman.JobID) { close(created) }},
			)
			done <- outcome{got, err}
		}()
		<-created
		begin := time.Now()
		s.SetFault(gearmantest.Fault{BytesPerSecond: 1})
		finish(s)
		got := <-done
		if got.err != nil || string(got.result) != "a result of some length" {
			t.Errorf("got %q, %v", got.result, got.err)
		}
		if took := time.Since(begin); took < 35*time.Second {
			t.Errorf("it came within %v, which shows nothing: ReplyTimeout is 30 s", took)
		}
		// The connection is then idle for longer than is allowed in the middle of a packet, and is
		// still usable.
		s.SetFault(gearmantest.Fault{})
		time.Sleep(time.Hour)
		if err := c.Echo(t.Context(), []byte("x")); err != nil {
			t.Error(err)
		}
		if n := s.Stats().Accepted; n != 2 { // finish has one of its own
			t.Errorf("%d connections, want the client's one to be kept", n)
		}
	})
}

// TestClientRefused: a job server that refuses connections is skipped and kept in quarantine, and
// the error names it if none is left.
func TestClientRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var servers []*gearmantest.Server
		for i := range 3 {
			s := gearmantest.NewServer(gearmantest.InMemory(fmt.Sprintf("192.0.2.%d:4730", i+1)))
			defer s.Close()
			servers = append(servers, s)
		}
		c := newClient(t, client.Options{Select: client.InOrder}, servers...)
		defer closeClient(t, c)
		servers[0].Refuse()
		for range 10 {
			if id, err := c.Background(
				t.Context(), &client.Task{Function: "f"},
			); err != nil || id.Server != "192.0.2.2:4730" {
				t.Fatalf("with one server gone: %v, %v", id, err)
			}
		}
		servers[1].Refuse()
		servers[2].Refuse()
		servers[1].CloseConnections()
		synctest.Wait()
		_, err := c.Background(t.Context(), &client.Task{Function: "f"})
		says(t, err, client.ErrNoServer, "192.0.2.1:4730", "192.0.2.2:4730", "192.0.2.3:4730", "refused")
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("error %q does not wrap the refusal", err)
		}
		if errors.Is(err, client.ErrUncertain) {
			t.Errorf("error %q calls a job uncertain that no server can have", err)
		}
		for _, s := range servers {
			if err := s.Accept(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		if id, err := c.Background(
			t.Context(), &client.Task{Function: "f"},
		); err != nil || id.Server != "192.0.2.1:4730" {
			t.Errorf("when all are back: %v, %v", id, err)
		}
	})
}

// TestClientProduce: Produce reports each submission, including those that a fault made uncertain.
func TestClientProduce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory(address))
		defer s.Close()
		c := newClient(t, client.Options{MaxPending: 10}, s)
		defer closeClient(t, c)
		accepted, lost := 0, 0
		s.SetFault(gearmantest.Fault{DropOn: proto.TypeSubmitJobBG, DropNth: 25})
		for range 100 {
			c.Produce(t.Context(), &client.Task{Function: "f"}, func(id gearman.JobID, err error) {
				if err == nil {
					accepted++
					if id.Server != address || id.Handle == "" {
						t.Errorf("told of job %v", id)
					}
					return
				}
				lost++
				says(t, err, client.ErrUncertain, address)
			})
		}
		says(t, c.Flush(t.Context()), client.ErrUncertain, address)
		if accepted+lost != 100 || lost == 0 || lost > 10 {
			t.Errorf("%d accepted and %d lost, want 100 in all and at most MaxPending lost", accepted, lost)
		}
		if got := s.Function("f").Total; got < accepted || got > accepted+lost {
			t.Errorf("the server has %d jobs, want %d to %d", got, accepted, accepted+lost)
		}
	})
}

func TestClientEcho(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		good := gearmantest.NewServer(gearmantest.InMemory("192.0.2.2:4730"))
		defer good.Close()
		bad := gearmantest.NewServer(gearmantest.InMemory(address))
		defer bad.Close()
		c := newClient(t, client.Options{}, good, bad)
		defer closeClient(t, c)
		if err := c.Echo(t.Context(), []byte("x")); err != nil {
			t.Fatal(err)
		}
		bad.SetFault(gearmantest.Fault{Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		says(t, c.Echo(ctx, []byte("x")), context.DeadlineExceeded, address)
	})
}
