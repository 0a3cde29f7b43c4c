//go:build unix

package client

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// loopback returns a connection and its other end.
func loopback(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	far, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	return near, far
}

// TestSendNow checks that the caller writes the bytes that the job server accepts at once, and that
// the writer's goroutine writes the rest after them, in order and once.
func TestSendNow(t *testing.T) {
	t.Parallel()
	near, far := loopback(t)
	w := newWriter(near, time.Minute)
	packet, sent, byCaller := make([]byte, 8<<10), []byte(nil), 0
	for full := false; !full; byCaller++ {
		binary.BigEndian.PutUint32(packet, uint32(byCaller))
		sent = append(sent, packet...)
		stage(t, w, packet)
		full = !w.sendNow()
	}
	if byCaller < 2 {
		t.Fatalf("%d packets were sent by the caller", byCaller)
	}
	for i := range uint32(10) { // after what is left
		binary.BigEndian.PutUint32(packet, 1<<31+i)
		sent = append(sent, packet...)
		stage(t, w, packet)
		if w.sendNow() {
			t.Fatal("sent ahead of what is left")
		}
	}
	go w.run()
	defer close(w.ended)
	w.flush()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(far, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) {
		t.Error("what came is not what was sent")
	}
	if n := w.wrote.Load(); n != int64(len(sent)) {
		t.Errorf("%d bytes are counted of %d", n, len(sent))
	}
}

func stage(t *testing.T, w *writer, packet []byte) {
	t.Helper()
	encode := func(dst []byte) ([]byte, *request, error) { return append(dst, packet...), nil, nil }
	if _, err := w.stage(context.Background(), encode, nil); err != nil {
		t.Fatal(err)
	}
}

// TestSendNowLeavesTheRest checks that the writer's goroutine handles packets that are too large or
// read from a source, and those on a broken connection.
func TestSendNowLeavesTheRest(t *testing.T) {
	t.Parallel()
	near, _ := loopback(t)
	for _, tt := range []struct {
		name    string
		prepare func(w *writer)
	}{
		{"nothing", func(*writer) {}},
		{"too large", func(w *writer) { stage(t, w, make([]byte, writePiece+1)) }},
		{"a caller's bytes", func(w *writer) { w.queue = []*chunk{{own: []byte("a"), body: []byte("b")}} }},
		{"the writer writes", func(w *writer) { stage(t, w, []byte("a")); w.busy = true }},
		{"it has failed", func(w *writer) { stage(t, w, []byte("a")); w.err = errors.New("broken") }},
		{"no descriptor", func(w *writer) { stage(t, w, []byte("a")); w.direct = nil }},
		{"closed", func(w *writer) { stage(t, w, []byte("a")); near.Close() }},
	} {
		w := newWriter(near, time.Minute)
		tt.prepare(w)
		before := w.staged
		if w.sendNow() || w.staged != before || w.wrote.Load() != 0 {
			t.Errorf("%s: the caller wrote %d bytes", tt.name, w.wrote.Load())
		}
	}
}

// TestWriterKeepsTwoBuffers checks that bytes staged while the writer's goroutine writes go into a
// second buffer, and that both buffers are reused.
func TestWriterKeepsTwoBuffers(t *testing.T) {
	t.Parallel()
	near, _ := loopback(t)
	w := newWriter(near, time.Minute)
	packet, buffers := make([]byte, 1000), map[*byte]bool{}
	stage(t, w, packet)
	for range 10 {
		b, _ := w.take()
		buffers[&b[0]] = true
		stage(t, w, packet)
		w.keep(b)
	}
	if len(buffers) != 2 {
		t.Errorf("%d buffers were taken, want 2", len(buffers))
	}
}
