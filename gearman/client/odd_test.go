package client_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// scripted is a fake job server: the test reads the client's packets and writes any response.
type scripted struct {
	t  *testing.T
	nc net.Conn
	in *proto.Conn
	n  int // jobs created
}

// script returns a client whose dialer connects to a scripted job server. Each connection is passed
// to serve in a goroutine of its own.
func script(t *testing.T, o client.Options, serve func(*scripted)) *client.Client {
	t.Helper()
	var wg sync.WaitGroup
	o.Servers = []string{"192.0.2.1:4730"}
	o.Dialer = func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		wg.Go(func() {
			defer far.Close()
			serve(&scripted{t: t, nc: far, in: proto.NewConn(far, proto.Limits{})})
		})
		return near, nil
	}
	c, err := client.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
	return c
}

// next answers the requests that every client sends, and returns the next other packet, or false at
// the end of the connection. Lines of text are returned as packets of type 0.
func (s *scripted) next() (proto.Packet, bool) {
	for {
		text, err := s.in.IsText()
		if err != nil {
			return proto.Packet{}, false
		}
		if text {
			line, err := s.in.ReadLine()
			if err != nil {
				return proto.Packet{}, false
			}
			if string(line) != "version" {
				return proto.Packet{Data: line}, true
			}
			s.send([]byte("OK 1.1.20\n"))
			continue
		}
		p, err := s.in.Next()
		if err != nil {
			return proto.Packet{}, false
		}
		if p.Type == proto.TypeEchoReq {
			s.send(proto.AppendEcho(nil, proto.Response, p.Data))
			continue
		}
		return p, true
	}
}

func (s *scripted) send(b []byte) { _, _ = s.nc.Write(b) } // fails if the client has closed

// accept answers a submission and returns the job's handle.
func (s *scripted) accept() string {
	s.n++
	handle := "H:x:" + strings.Repeat("1", s.n)
	s.send(proto.AppendJobCreated(nil, handle))
	return handle
}

func response(t proto.Type, handle, data string) []byte {
	return proto.AppendWork(nil, proto.Response, t, handle, data)
}

// TestOddPacketCostsItsCall checks that each kind of invalid packet from a worker fails the call
// that waits for its job, and no other call on the connection.
func TestOddPacketCostsItsCall(t *testing.T) {
	t.Parallel()
	raw := func(typ proto.Type, data string) []byte {
		return proto.AppendPacket(nil, proto.Response, typ, []byte(data))
	}
	tests := map[string]struct {
		odd  func(handle string) []byte
		want error
	}{
		"too large a result": {
			func(h string) []byte { return response(proto.TypeWorkComplete, h, strings.Repeat("x", 2000)) },
			proto.ErrTooLarge,
		},
		"too large a part": {
			func(h string) []byte { return response(proto.TypeWorkData, h, strings.Repeat("x", 2000)) },
			proto.ErrTooLarge,
		},
		"parts that are too large together": {func(h string) []byte {
			part := response(proto.TypeWorkData, h, strings.Repeat("x", 600))
			return append(part, part...)
		}, proto.ErrTooLarge},
		"too large an exception": {
			func(h string) []byte { return response(proto.TypeWorkException, h, strings.Repeat("x", 2000)) },
			proto.ErrTooLarge,
		},
		"a failure with bytes behind it": {
			func(h string) []byte { return raw(proto.TypeWorkFail, h+"\x00because") }, client.ErrFailed,
		},
		"a result without a separator": {
			func(h string) []byte { return raw(proto.TypeWorkComplete, h) }, proto.ErrArguments,
		},
		"a status without its denominator": {
			func(h string) []byte { return raw(proto.TypeWorkStatus, h+"\x001") }, proto.ErrArguments,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				connections := 0
				c := script(t, client.Options{MaxResult: 1000}, func(s *scripted) {
					connections++
					handles := map[string]string{}
					for {
						p, ok := s.next()
						if !ok {
							return
						}
						if p.Type == 0 { // the client cancels the job
							s.send([]byte("OK\r\n"))
							continue
						}
						sub, err := p.Submission()
						if err != nil {
							t.Error(err)
							return
						}
						handles[string(sub.Function)] = s.accept()
						if len(handles) < 2 {
							continue
						}
						s.send(tt.odd(handles["odd"]))
						s.send(response(proto.TypeWorkComplete, handles["good"], "fine"))
					}
				})
				results, err := c.RunSet(t.Context(), &client.Task{Function: "odd"}, &client.Task{Function: "good"})
				if err != nil {
					t.Fatal(err)
				}
				if !errors.Is(results[0].Err, tt.want) || !strings.Contains(results[0].Err.Error(), "192.0.2.1:4730") {
					t.Errorf("the odd one: %v, want %v with the server", results[0].Err, tt.want)
				}
				if results[1].Err != nil || string(results[1].Data) != "fine" {
					t.Errorf("the other one: %q, %v", results[1].Data, results[1].Err)
				}
				if connections != 1 {
					t.Errorf("%d connections, want the one to be kept", connections)
				}
			})
		})
	}
	if _, err := client.New(client.Options{Servers: []string{"h"}, MaxResult: -1}); !errors.Is(err, client.ErrOptions) {
		t.Errorf("a negative limit: %v", err)
	}
}

// TestAbandonedCallIsTakenBack checks that a call for which nobody waits any more is canceled at
// the job server, whether or not the job was already accepted, unless others may share it.
func TestAbandonedCallIsTakenBack(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		task    client.Task
		late    bool // the server accepts the job after the caller has left
		perl    bool
		cancels bool
	}{
		"accepted":          {task: client.Task{Function: "f"}, cancels: true},
		"accepted later":    {task: client.Task{Function: "f"}, late: true, cancels: true},
		"with a key":        {task: client.Task{Function: "f", Key: "k"}},
		"later with a key":  {task: client.Task{Function: "f", Key: "k"}, late: true},
		"in the background": {task: client.Task{Function: "f", Background: true}, late: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var lines []string
				c := script(t, client.Options{}, func(s *scripted) {
					for {
						p, ok := s.next()
						if !ok {
							return
						}
						if p.Type == 0 {
							lines = append(lines, string(p.Data))
							s.send([]byte("OK\r\n"))
							// what gearmand sends to clients that wait
							s.send(proto.AppendPacket(nil, proto.Response, proto.TypeWorkFail, []byte("H:x:1")))
							continue
						}
						if tt.late {
							time.Sleep(2 * time.Second)
						}
						s.accept()
					}
				})
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				results, err := c.RunSet(ctx, &tt.task)
				if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(results[0].Err, context.DeadlineExceeded) {
					t.Fatalf("%v, %v", err, results[0].Err)
				}
				if got := errors.Is(results[0].Err, client.ErrUncertain); got != tt.late {
					t.Errorf("%v: uncertain is %v, want %v", results[0].Err, got, tt.late)
				}
				time.Sleep(10 * time.Second)
				synctest.Wait()
				want := 0
				if tt.cancels {
					want = 1
				}
				if len(lines) != want || want == 1 && lines[0] != "cancel job H:x:1" {
					t.Errorf("commands %q, want %d to cancel the job", lines, want)
				}
				if err := c.Echo(t.Context(), []byte("x")); err != nil {
					t.Errorf("the connection afterwards: %v", err)
				}
			})
		})
	}
}
