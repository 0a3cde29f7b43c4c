package admin

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// TestFaults checks that a late, truncated or garbled response causes an error that names the job
// server and the command, and closes the connection.
func TestFaults(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault gearmantest.Fault
		want  error
		open  bool // the connection can still be used
	}{
		"hang":                {fault: gearmantest.Fault{Hang: true}, want: context.DeadlineExceeded},
		"cut in a row":        {fault: gearmantest.Fault{CutAfter: 3}, want: io.ErrUnexpectedEOF},
		"cut behind a row":    {fault: gearmantest.Fault{CutAfter: 6}, want: io.ErrUnexpectedEOF},
		"cut before the echo": {fault: gearmantest.Fault{CutAfter: 8}, want: io.ErrUnexpectedEOF},
		"no answer":           {fault: gearmantest.Fault{DropOnText: "status"}, want: io.ErrUnexpectedEOF},
		"rows of something else": {
			fault: gearmantest.Fault{
				Garbage: append([]byte("H:x:1\t0\n.\n"), proto.AppendEcho(nil, proto.Response, barrier)...),
			},
			want: ErrAnswer, open: true,
		},
		"no end": {
			fault: gearmantest.Fault{
				Garbage: append([]byte("f\t0\t0\t0\n"), proto.AppendEcho(nil, proto.Response, barrier)...),
			},
			want: ErrAnswer, open: true,
		},
		"rows behind the end": {
			fault: gearmantest.Fault{
				Garbage: append([]byte(".\nf\t0\t0\t0\n"), proto.AppendEcho(nil, proto.Response, barrier)...),
			},
			want: ErrAnswer, open: true,
		},
		"another echo": {
			fault: gearmantest.Fault{Garbage: append([]byte(".\n"), proto.AppendEcho(nil, proto.Response, "x")...)},
			want:  ErrAnswer,
		},
		"a packet instead of rows": {
			fault: gearmantest.Fault{Garbage: proto.AppendEmpty(nil, proto.Response, proto.TypeNoop)}, want: ErrAnswer,
		},
		"a line without an end": {
			fault: gearmantest.Fault{Garbage: []byte(strings.Repeat("x", 2<<20))}, want: proto.ErrTooLarge,
		},
		"bytes that are no packet": {
			fault: gearmantest.Fault{Garbage: []byte("\x00XXXgarbage garbage")}, want: proto.ErrMagic,
		},
		"an error instead of rows": {
			fault: gearmantest.Fault{
				Garbage: append(
					[]byte("ERR UNKNOWN_COMMAND no\r\n"), proto.AppendEcho(nil, proto.Response, barrier)...,
				),
			},
			want: ErrUnsupported, open: true,
		},
		"an error behind an answer": {
			fault: gearmantest.Fault{
				Garbage: append([]byte(".\nERR X y\r\n"), proto.AppendEcho(nil, proto.Response, barrier)...),
			},
			want: ErrAnswer, open: true,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
				defer s.Close()
				s.Submit("f", "", nil)
				ctx := context.Background()
				c, err := Dial(ctx, s.Addr(), Options{Dialer: s.DialContext})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if _, err := c.Version(ctx); err != nil {
					t.Fatal(err)
				}
				synctest.Wait() // the job server has finished its response
				s.SetFault(tt.fault)
				start := time.Now()
				rows, err := c.Status(ctx)
				if !errors.Is(err, tt.want) || rows != nil {
					t.Errorf("%v, %v, want %v", rows, err, tt.want)
				}
				if err != nil &&
					(!strings.Contains(err.Error(), "10.0.0.1:4730") || !strings.Contains(err.Error(), "status")) {
					t.Errorf("%q names not both server and command", err)
				}
				if d := time.Since(start); d > 10*time.Second {
					t.Errorf("it took %v, the deadline is 10 s", d)
				}
				if open := c.Err() == nil; open != tt.open {
					t.Errorf("connection open: %v, want %v", open, tt.open)
				}
				if tt.open {
					return
				}
				if _, err := c.Version(ctx); !errors.Is(err, ErrClosed) {
					t.Errorf("a later call: %v", err)
				}
			})
		})
	}
}

func TestContextEndsARequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		defer s.Close()
		c, err := Dial(context.Background(), s.Addr(), Options{Dialer: s.DialContext})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s.SetFault(gearmantest.Fault{Hang: true})
		ctx, cancel := context.WithCancel(context.Background())
		waiting := make(chan error, 1)
		go func() { // joined below
			second, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			defer cancel()
			time.Sleep(time.Millisecond)
			_, err := c.PID(second) // waits for the first
			waiting <- err
		}()
		time.AfterFunc(time.Second, cancel)
		if _, err := c.Workers(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		if err := <-waiting; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("behind it: %v", err)
		}
	})
}

func TestBadArguments(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := gearmantest.NewServer(gearmantest.InMemory(""))
	defer s.Close()
	c, err := Dial(ctx, s.Addr(), Options{Dialer: s.DialContext})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for name, err := range map[string]error{
		"cancel":   c.CancelJob(ctx, "H:x:1\nshutdown"),
		"empty":    c.CancelJob(ctx, ""),
		"create":   c.CreateFunction(ctx, "a b"),
		"drop":     c.DropFunction(ctx, ""),
		"maxqueue": c.SetMaxQueue(ctx, "a\tb", 1),
		"long":     c.CreateFunction(ctx, strings.Repeat("x", 9000)),
	} {
		if !errors.Is(err, proto.ErrName) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Probe(ctx, s.Addr(), "a b", Options{}); !errors.Is(err, proto.ErrName) {
		t.Error(err)
	}
	if n := s.Stats().Total(); n != 0 {
		t.Errorf("%d of these reached the server", n)
	}
	if _, err := Dial(ctx, "host:port", Options{}); err == nil {
		t.Error("a bad address was dialled")
	}
	if _, err := Probe(ctx, "host:port", "f", Options{}); err == nil {
		t.Error("a bad address was probed")
	}
}
