//go:build linux && !portable && !nothreads

package workerruntime

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"
	"golang.org/x/sys/unix"
)

// threadPair is a threadConn and its peer.
func threadPair(t *testing.T) (*threadConn, *net.TCPConn) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := dialThread(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); peer.Close() })
	thread, ok := c.(*threadConn)
	if !ok {
		t.Fatalf("a connection of type %T", c)
	}
	return thread, peer
}

// TestThreadConnConforms: a threadConn behaves like any other connection.
func TestThreadConnConforms(t *testing.T) {
	t.Parallel()
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		c, peer := threadPair(t)
		return c, peer, func() { c.Close(); peer.Close() }, nil
	})
}

// TestThreadConnWriteWaits: if the peer doesn't read, writes wait, first on a thread, then in the
// poller.
func TestThreadConnWriteWaits(t *testing.T) {
	t.Parallel()
	for name, wait := range map[string]time.Duration{
		"a thread waits": readBriefly / 2, "the poller waits": 3 * readBriefly,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, peer := threadPair(t)
			sent := bytes.Repeat([]byte("0123456789abcdef"), 4<<20/16)
			got := make(chan []byte, 1)
			time.AfterFunc(wait, func() {
				b, err := io.ReadAll(peer)
				if err != nil {
					t.Error(err)
				}
				got <- b
			})
			if n, err := c.Write(sent); n != len(sent) || err != nil {
				t.Errorf("%d bytes written: %v", n, err)
			}
			c.Close()
			if !bytes.Equal(<-got, sent) {
				t.Error("other bytes arrived")
			}
		})
		t.Run("deadline, "+name, func(t *testing.T) {
			t.Parallel()
			c, _ := threadPair(t)
			sent := make([]byte, 64<<20)
			if err := c.SetWriteDeadline(time.Now().Add(wait)); err != nil {
				t.Fatal(err)
			}
			if n, err := c.Write(sent); n == len(sent) || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%d bytes written: %v", n, err)
			}
		})
		t.Run("closed, "+name, func(t *testing.T) {
			t.Parallel()
			c, _ := threadPair(t)
			sent := make([]byte, 64<<20)
			time.AfterFunc(wait, func() { c.Close() })
			if n, err := c.Write(sent); n == len(sent) || !errors.Is(err, net.ErrClosed) {
				t.Errorf("%d bytes written: %v", n, err)
			}
		})
	}
}

func TestThreadConnClosed(t *testing.T) {
	t.Parallel()
	c, _ := threadPair(t)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	_, read := c.Read(make([]byte, 1))
	_, write := c.Write(make([]byte, 1))
	for what, err := range map[string]error{
		"close": c.Close(), "read": read, "write": write, "deadline": c.SetDeadline(time.Now()),
	} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestThreadConn(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		do   func(c *threadConn, peer *net.TCPConn) error
		want string
		err  error
	}{
		"what is there": {
			func(_ *threadConn, peer *net.TCPConn) error { _, err := peer.Write([]byte("hello")); return err }, "hello",
			nil,
		},
		"the end": {func(_ *threadConn, peer *net.TCPConn) error { return peer.Close() }, "", io.EOF},
		"a reset": {
			func(_ *threadConn, peer *net.TCPConn) error { return errors.Join(peer.SetLinger(0), peer.Close()) }, "",
			syscall.ECONNRESET,
		},
		"our own close": {func(c *threadConn, _ *net.TCPConn) error { return c.Close() }, "", net.ErrClosed},
		"a deadline": {
			func(c *threadConn, _ *net.TCPConn) error { return c.SetReadDeadline(time.Now()) }, "",
			os.ErrDeadlineExceeded,
		},
		"a later deadline": {
			func(c *threadConn, _ *net.TCPConn) error { return c.SetReadDeadline(time.Now().Add(3 * readBriefly)) }, "",
			os.ErrDeadlineExceeded,
		},
	} {
		for when, wait := range map[string]time.Duration{
			"before": 0, "while a thread waits": readBriefly / 2, "while the poller waits": 3 * readBriefly,
		} {
			t.Run(name+" "+when, func(t *testing.T) {
				t.Parallel()
				c, peer := threadPair(t)
				done := make(chan error, 1)
				do := func() { done <- tc.do(c, peer) }
				if wait == 0 {
					do()
				} else {
					time.AfterFunc(wait, do)
				}
				b := make([]byte, 100)
				n, err := c.Read(b)
				if string(b[:n]) != tc.want {
					t.Errorf("read %q, want %q", b[:n], tc.want)
				}
				if !errors.Is(err, tc.err) {
					t.Errorf("error %v, want %v", err, tc.err)
				}
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestThreadConnAllocs(t *testing.T) {
	c, peer := threadPair(t)
	b := make([]byte, 100)
	got := testing.AllocsPerRun(100, func() {
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(peer, b); err != nil {
			t.Fatal(err)
		}
		if _, err := peer.Write(b); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, b); err != nil {
			t.Fatal(err)
		}
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// TestReadsYield: a read yields before it blocks. After a long wait the next reads block at once,
// for a while. Writes block at once.
func TestReadsYield(t *testing.T) {
	t.Parallel()
	d := direction{event: unix.EPOLLIN}
	for range 2 {
		var began time.Time
		if !d.yield(&began) || began.IsZero() {
			t.Fatalf("a new wait doesn't yield; it began at %v", began)
		}
		began = time.Now().Add(time.Hour) // however slow the machine is
		if !d.yield(&began) {
			t.Error("a short wait doesn't yield again")
		}
		began = time.Now().Add(-yieldFor)
		if d.yield(&began) {
			t.Error("a long wait yields again")
		}
		for range blockNext {
			if d.yield(new(time.Time)) {
				t.Errorf("a wait yields soon after a long one")
			}
		}
	}
	if out := (direction{event: unix.EPOLLOUT}); out.yield(new(time.Time)) {
		t.Error("a write yields")
	}
}
