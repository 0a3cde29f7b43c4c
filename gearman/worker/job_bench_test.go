package worker

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// endlessConn is a job server that has a job for each request, and takes no time: its response can
// be read when Write returns.
type endlessConn struct {
	net.Conn // for its addresses, and the deadlines that are set once
	id, jobs int
	handle   [40]byte

	mu      sync.Mutex
	pending []byte
	more    chan struct{}
	closed  chan struct{}
	close   func()
}

func newEndlessConn(id int) *endlessConn {
	near, _ := net.Pipe()
	c := &endlessConn{Conn: near, id: id, more: make(chan struct{}, 1), closed: make(chan struct{})}
	c.close = sync.OnceFunc(func() { close(c.closed) })
	return c
}

func (c *endlessConn) Write(b []byte) (int, error) {
	n := len(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if rest, ok := bytes.CutPrefix(b, []byte("version\n")); ok {
		c.pending = append(c.pending, "OK 1.1.20\n"...)
		b = rest
	}
	for len(b) > 0 {
		h, err := proto.DecodeHeader(b)
		if err != nil {
			return 0, err
		}
		data := b[proto.HeaderSize:][:h.Size]
		b = b[proto.HeaderSize+len(data):]
		switch h.Type {
		case proto.TypeEchoReq:
			c.pending = proto.AppendEcho(c.pending, proto.Response, data)
		case proto.TypeGrabJobUniq:
			c.jobs++
			handle := strconv.AppendInt(append(c.handle[:0], "H:host:"...), int64(c.id<<32+c.jobs), 10)
			c.pending = proto.AppendJobAssignUniq(c.pending, handle, "bench", "-", payload100)
		}
	}
	select {
	case c.more <- struct{}{}:
	default:
	}
	return n, nil
}

var payload100 = bytes.Repeat([]byte("x"), 100)

func (c *endlessConn) Read(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.pending) == 0 {
		c.mu.Unlock()
		select {
		case <-c.more:
		case <-c.closed:
		}
		c.mu.Lock()
		select {
		case <-c.closed:
			return 0, net.ErrClosed
		default:
		}
	}
	n := copy(b, c.pending)
	c.pending = append(c.pending[:0], c.pending[n:]...)
	return n, nil
}

func (c *endlessConn) Close() error { c.close(); return nil }

func (c *endlessConn) SetWriteDeadline(time.Time) error { return nil } // Write takes no time

// BenchmarkJob measures the worker's own part of a job, without a network and a job server.
func BenchmarkJob(b *testing.B) {
	for _, slots := range []int{1, 16} {
		b.Run(fmt.Sprintf("slots=%d", slots), func(b *testing.B) {
			var conns, count atomic.Int64
			w, err := New(Options{
				Servers: []string{"127.0.0.1:4730"}, Concurrency: slots,
				Dialer: func(context.Context, string, string) (net.Conn, error) {
					return newEndlessConn(int(conns.Add(1))), nil
				},
			})
			if err != nil {
				b.Fatal(err)
			}
			if err := w.Handle(Function{Name: "bench", Handler: func(ctx context.Context, _ *Job) ([]byte, error) {
				if count.Add(1) == int64(b.N) {
					return nil, w.Stop(ctx) // called in the worker's own handler, so it doesn't wait
				}
				return nil, nil
			}}); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			if err := w.Run(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}
