package client_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// TestFaults checks that each way in which a job server can fail ends a call with an error that
// names the job server, within the call's time limit, and that calls succeed once the job server is
// back.
func TestFaults(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault gearmantest.Fault
		want  error
	}{
		"hang":            {gearmantest.Fault{Hang: true}, client.ErrUncertain},
		"cut in a packet": {gearmantest.Fault{CutAfter: 14}, client.ErrUncertain},
		"garbage":         {gearmantest.Fault{Garbage: []byte("\x00XXXgarbage garbage")}, client.ErrUncertain},
		"text":            {gearmantest.Fault{Garbage: []byte("hello\n")}, client.ErrUncertain},
		"another's answer": {
			gearmantest.Fault{Garbage: proto.AppendEcho(nil, proto.Response, "x")}, client.ErrUncertain,
		},
		"a worker's packet": {
			gearmantest.Fault{Garbage: proto.AppendJobAssign(nil, "h", "f", "x")}, client.ErrUncertain,
		},
		"drop": {gearmantest.Fault{DropOn: proto.TypeSubmitJobBG}, client.ErrUncertain},
		"slow": {gearmantest.Fault{Delay: time.Second, BytesPerSecond: 10}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
				c, err := client.New(client.Options{Servers: []string{s.Addr()}, Dialer: s.DialContext})
				if err != nil {
					t.Fatal(err)
				}
				ctx := context.Background()
				if err := c.Echo(ctx, []byte("x")); err != nil {
					t.Fatal(err)
				}
				s.SetFault(tt.fault)
				start := time.Now()
				_, err = c.Background(ctx, &client.Task{Function: "f"})
				if !errors.Is(err, tt.want) || err != nil && !strings.Contains(err.Error(), "10.0.0.1:4730") {
					t.Errorf("error %v, want %v with the server's address", err, tt.want)
				}
				if d := time.Since(start); d > 61*time.Second {
					t.Errorf("it took %v, ReplyTimeout is 30 s", d)
				}
				for range 20 { // produced jobs meet the same fault and get through, too
					c.Produce(ctx, &client.Task{Function: "f"}, nil)
				}
				// A job server that sends only invalid responses is not tried for a moment.
				if err := c.Flush(ctx); tt.want == nil && err != nil || tt.want != nil && !errors.Is(err, tt.want) &&
					!errors.Is(err, client.ErrNoServer) {
					t.Errorf("produced: %v", err)
				}
				s.SetFault(gearmantest.Fault{})
				time.Sleep(time.Minute)
				if _, err := c.Background(ctx, &client.Task{Function: "f"}); err != nil {
					t.Errorf("after it healed: %v", err)
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				s.Close()
			})
		})
	}
}

func TestQuarantine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bad := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		good := gearmantest.NewServer(gearmantest.InMemory("10.0.0.2:4730"))
		bad.Refuse()
		var downs atomic.Int64
		c, err := client.New(client.Options{
			Servers: []string{bad.Addr(), good.Addr()}, Select: client.InOrder, Dialer: gearmantest.Dialer(bad, good),
			Hooks: client.Hooks{ConnDown: func(_ client.Conn, err error) {
				if err != nil {
					downs.Add(1)
				}
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		submit := func(want string) {
			t.Helper()
			id, err := c.Background(context.Background(), &client.Task{Function: "f"})
			if err != nil || id.Server != want {
				t.Errorf("%v, %v, want %s", id, err, want)
			}
		}
		for range 100 {
			submit(good.Addr())
			time.Sleep(time.Second)
		}
		if n := downs.Load(); n < 4 || n > 12 {
			t.Errorf("%d attempts at the bad server in 100 s, want them to back off from 1 s to 30 s", n)
		}
		if err := bad.Accept(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(31 * time.Second)
		// Nobody waits for a job server that failed while another is connected: it is tried in the
		// background. If it connects at once, the job may go there.
		if _, err := c.Background(context.Background(), &client.Task{Function: "f"}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		submit(bad.Addr())
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		bad.Close()
		good.Close()
	})
}
