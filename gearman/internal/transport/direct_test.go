//go:build unix

package transport

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// tcpPair returns the two ends of a connection over the loopback device.
func tcpPair(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = nc.Close(), other.Close() })
	return nc.(*net.TCPConn), other.(*net.TCPConn)
}

func add(text string) func([]byte) []byte {
	return func(dst []byte) []byte { return append(dst, text...) }
}

// fill writes to a connection until it accepts nothing more.
func fill(d *Direct) (n int) {
	piece := bytes.Repeat([]byte("f"), 100_000)
	for {
		k := d.Write(piece)
		if n += k; k == 0 {
			return n
		}
	}
}

// TestFullConnection: what a connection doesn't accept at once is written as it accepts it.
func TestFullConnection(t *testing.T) {
	t.Parallel()
	near, far := tcpPair(t)
	o := NewOutbox("192.0.2.1:4730", near, time.Minute)
	full := fill(o.direct)
	request := strings.Repeat("r", 200_000)
	got := make([]byte, full+len(request))
	var peer sync.WaitGroup
	peer.Go(func() {
		if _, err := io.ReadFull(far, got); err != nil {
			t.Error(err)
		}
	})
	if err := o.Send(add(request)); err != nil {
		t.Error(err)
	}
	peer.Wait()
	if string(got[full:]) != request {
		t.Errorf("after %d bytes %.20q", full, got[full:])
	}
}

// TestPeerTakesNothing: a write ends after the outbox's timeout.
func TestPeerTakesNothing(t *testing.T) {
	t.Parallel()
	near, _ := tcpPair(t)
	o := NewOutbox("192.0.2.1:4730", near, time.Millisecond)
	var err error
	for err == nil { // until the kernel has no more room
		err = o.Send(add(strings.Repeat("r", 100_000)))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

// TestClosedConnection: the error of a direct write is found by the ordinary one after it.
func TestClosedConnection(t *testing.T) {
	t.Parallel()
	near, _ := tcpPair(t)
	o := NewOutbox("192.0.2.1:4730", near, time.Minute)
	_ = near.Close()
	if err := o.Send(add("request")); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// TestSendAllocatesNothing matters since a worker sends for each job.
func TestSendAllocatesNothing(t *testing.T) {
	near, far := tcpPair(t)
	var peer sync.WaitGroup
	peer.Go(func() { _, _ = io.Copy(far, far) })
	o := NewOutbox("192.0.2.1:4730", near, time.Minute)
	var failed error
	encode, p := add("line"), make([]byte, 1000)
	for name, send := range map[string]func() error{
		"Send":        func() error { return o.Send(encode) },
		"SendAndRead": func() error { _, err := o.SendAndRead(encode, p); return err },
	} {
		n := testing.AllocsPerRun(100, func() { failed = errors.Join(failed, send()) })
		if failed != nil || n > 0 {
			t.Errorf("%s: %v allocations, %v", name, n, failed)
		}
	}
	_ = near.Close()
	peer.Wait()
}

// ownConn is a connection of a user's own type, which has to see what is written.
type ownConn struct{ *net.TCPConn }

func TestNewDirect(t *testing.T) {
	t.Parallel()
	near, _ := tcpPair(t)
	pipe, other := net.Pipe()
	_ = other.Close()
	if NewDirect(near) == nil {
		t.Error("a TCP connection is not written to directly")
	}
	for name, nc := range map[string]net.Conn{
		"TLS": tls.Client(near, &tls.Config{MinVersion: tls.VersionTLS13}), "a user's own": ownConn{near}, "a pipe": pipe,
	} {
		if NewDirect(nc) != nil {
			t.Errorf("%s is written to directly", name)
		}
	}
}

// exchanged is what SendAndRead returned.
type exchanged struct {
	text string
	err  error
}

// exchangeOf calls SendAndRead in the background.
func exchangeOf(o *Outbox, request string) <-chan exchanged {
	done := make(chan exchanged, 1)
	go func() { // the tests wait for done
		p := make([]byte, 1000)
		n, err := o.SendAndRead(add(request), p)
		done <- exchanged{string(p[:n]), err}
	}()
	return done
}

func read(t *testing.T, from io.Reader, n int) string {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(from, b); err != nil {
		t.Error(err)
	}
	return string(b)
}

// TestSendAndRead runs with a TCP connection, and with one that can't be written to directly.
func TestSendAndRead(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(*net.TCPConn) net.Conn{
		"direct":     func(nc *net.TCPConn) net.Conn { return nc },
		"not direct": func(nc *net.TCPConn) net.Conn { return ownConn{nc} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, far := tcpPair(t)
			o := NewOutbox("192.0.2.1:4730", wrap(near), time.Minute)
			if err := o.Stage(add("staged,")); err != nil {
				t.Fatal(err)
			}
			if _, err := far.Write([]byte("earlier,")); err != nil { // it must not be waited for in vain
				t.Fatal(err)
			}
			done := exchangeOf(o, "request")
			if got := read(t, far, len("staged,request")); got != "staged,request" {
				t.Errorf("sent %q", got)
			}
			if err := o.Send(add("another")); err != nil { // nobody is kept from sending meanwhile
				t.Error(err)
			}
			if got := read(t, far, len("another")); got != "another" {
				t.Errorf("sent %q", got)
			}
			if _, err := far.Write([]byte("response")); err != nil {
				t.Fatal(err)
			}
			first := <-done
			rest := read(t, near, len("earlier,response")-len(first.text))
			if first.err != nil || first.text == "" || first.text+rest != "earlier,response" {
				t.Errorf("read %q and %q, %v", first.text, rest, first.err)
			}
		})
	}
}

// TestSendAndReadWhenFull: a request that the connection doesn't accept at once is sent and
// answered all the same.
func TestSendAndReadWhenFull(t *testing.T) {
	t.Parallel()
	near, far := tcpPair(t)
	o := NewOutbox("192.0.2.1:4730", near, time.Minute)
	full := fill(o.direct)
	request := strings.Repeat("r", CopyLimit)
	done := exchangeOf(o, request)
	if got := read(t, far, full+len(request))[full:]; got != request {
		t.Errorf("sent %.20q", got)
	}
	if _, err := far.Write([]byte("response")); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got != (exchanged{text: "response"}) {
		t.Error(got)
	}
}

// TestSendAndReadFails: the connection's end is an error, whoever closes it, and whenever.
func TestSendAndReadFails(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		before, after func(near, far *net.TCPConn) error
		want          error
	}{
		"closed before":         {before: func(near, _ *net.TCPConn) error { return near.Close() }, want: net.ErrClosed},
		"closed while it waits": {after: func(near, _ *net.TCPConn) error { return near.Close() }, want: net.ErrClosed},
		"closed by the peer":    {after: func(_, far *net.TCPConn) error { return far.Close() }, want: io.EOF},
		"reset by the peer": {after: func(_, far *net.TCPConn) error {
			return errors.Join(far.SetLinger(0), far.Close())
		}, want: syscall.ECONNRESET},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, far := tcpPair(t)
			o := NewOutbox("192.0.2.1:4730", near, time.Minute)
			if tc.before != nil {
				if err := tc.before(near, far); err != nil {
					t.Fatal(err)
				}
			}
			done := exchangeOf(o, "request")
			if tc.after != nil {
				read(t, far, len("request"))
				if err := tc.after(near, far); err != nil {
					t.Fatal(err)
				}
			}
			if got := <-done; !errors.Is(got.err, tc.want) {
				t.Errorf("read %q, %v; want %v", got.text, got.err, tc.want)
			}
			if o.mu.TryLock() {
				o.mu.Unlock()
			} else {
				t.Error("the outbox is locked")
			}
		})
	}
}
