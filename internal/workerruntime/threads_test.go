package workerruntime

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
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

func TestThreadConn(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		do   func(c, peer *net.TCPConn) error
		want string
		err  error
	}{
		"what is there":    {func(_, peer *net.TCPConn) error { _, err := peer.Write([]byte("hello")); return err }, "hello", nil},
		"the end":          {func(_, peer *net.TCPConn) error { return peer.Close() }, "", io.EOF},
		"a reset":          {func(_, peer *net.TCPConn) error { return errors.Join(peer.SetLinger(0), peer.Close()) }, "", syscall.ECONNRESET},
		"our own close":    {func(c, _ *net.TCPConn) error { return c.Close() }, "", net.ErrClosed},
		"a deadline":       {func(c, _ *net.TCPConn) error { return c.SetReadDeadline(time.Now()) }, "", os.ErrDeadlineExceeded},
		"a later deadline": {func(c, _ *net.TCPConn) error { return c.SetReadDeadline(time.Now().Add(3 * readBriefly)) }, "", os.ErrDeadlineExceeded},
	} {
		for when, wait := range map[string]time.Duration{"before": 0, "while a thread waits": readBriefly / 2, "while the poller waits": 3 * readBriefly} {
			t.Run(name+" "+when, func(t *testing.T) {
				t.Parallel()
				c, peer := threadPair(t)
				done := make(chan error, 1)
				do := func() { done <- tc.do(c.TCPConn, peer) }
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
