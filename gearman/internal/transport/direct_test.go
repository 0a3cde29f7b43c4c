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
	peer.Go(func() { _, _ = io.Copy(io.Discard, far) })
	o := NewOutbox("192.0.2.1:4730", near, time.Minute)
	var failed error
	encode := add("line")
	n := testing.AllocsPerRun(100, func() { failed = errors.Join(failed, o.Send(encode)) })
	if failed != nil || n > 0 {
		t.Errorf("%v allocations, %v", n, failed)
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
