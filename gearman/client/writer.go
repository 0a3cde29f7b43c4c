package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/internal/transport"
)

// writer writes the packets that many goroutines have for one connection. It does so in a goroutine
// of its own, so that none of them waits for a job server that accepts no data. What is staged
// while it writes goes into its next write, so a busy connection has few large writes. On a quiet
// connection the caller writes a small packet itself, if it can do so without blocking.
type writer struct {
	nc      net.Conn
	timeout time.Duration // for each piece of at most writePiece bytes
	wrote   atomic.Int64  // bytes
	reading atomic.Bool   // it waits for a source
	reads   atomic.Int64  // reads of a source that have ended: progress, before the data is written
	wake    chan struct{}
	ended   chan struct{} // closed when the connection has ended

	mu     sync.Mutex
	direct *transport.Direct // nil: only the goroutine writes; used by whoever writes
	busy   bool              // the goroutine is writing
	queue  []*chunk          // to be written, in order
	staged int               // bytes in the chunks' own buffers
	room   chan struct{}
	spares [2][]byte // one for the chunk being written, one for the chunk being staged
	chunk  *chunk    // the last one that was written, for reuse, or nil
	piece  []byte
	err    error
}

// chunk is a part of the queue: bytes of the writer's own, followed by a caller's bytes, which are
// too many to copy.
type chunk struct {
	own     []byte
	body    []byte
	from    *source  // instead of body, or nil
	request *request // owns body or from; nil: more packets can be appended to own
	begun   bool     // some of it was written
}

// source is a payload that is read while it is written.
type source struct {
	r    io.Reader
	left int64
	fail func(error) // called if r fails, before the connection ends
}

// isWritten reports whether nothing is left after the chunk's own bytes.
func (c *chunk) isWritten() bool { return len(c.body) == 0 && (c.from == nil || c.from.left == 0) }

const (
	// Progress shows only when a whole piece has been accepted. This size is one TLS record, and
	// needs about 500 B/s to be written within WriteTimeout.
	writePiece = 16 << 10
	copyPiece  = 256 << 10
	stageLimit = 1 << 20   // above this, callers that stage wait for the writer
	keepStaged = 256 << 10 // a larger buffer isn't kept for reuse
	copyLimit  = 64 << 10  // a larger payload isn't copied
)

func newWriter(nc net.Conn, timeout time.Duration) *writer {
	return &writer{
		nc: nc, timeout: timeout, wake: make(chan struct{}, 1), ended: make(chan struct{}), room: make(chan struct{}),
		direct: transport.NewDirect(nc),
	}
}

// stage queues what encode appends, followed by body. body stays the caller's: stage doesn't change
// it, and the caller must not change it until it is written or detached. It is written after the
// next flush at the latest. While much is queued, stage waits, until ctx ends at most. encode may
// return an error.
func (w *writer) stage(
	ctx context.Context, encode func(dst []byte) ([]byte, *request, error), body []byte,
) (*chunk, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.staged > stageLimit && w.err == nil {
		room := w.room
		w.flush()
		w.mu.Unlock()
		select {
		case <-room:
		case <-w.ended:
		case <-ctx.Done():
		}
		w.mu.Lock()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("wait for the job server to accept the data sent before: %w", context.Cause(ctx))
		}
	}
	if w.err != nil {
		return nil, w.err
	}
	var at *chunk
	if n := len(w.queue); n > 0 && w.queue[n-1].request == nil {
		at = w.queue[n-1]
	} else {
		if at, w.chunk = w.chunk, nil; at == nil {
			at = new(chunk)
		}
		at.own = w.spares[0]
		w.spares[0], w.spares[1] = w.spares[1], nil
		w.queue = append(w.queue, at)
	}
	before := len(at.own)
	own, r, err := encode(at.own)
	if err != nil {
		return nil, err
	}
	at.own = own
	w.staged += len(own) - before
	if body == nil && (r == nil || r.from == nil) {
		return nil, nil
	}
	// Earlier staged bytes belong to others. The caller's packet becomes a chunk of its own, which
	// can be taken back.
	c := &chunk{own: bytes.Clone(own[before:]), body: body, request: r}
	if r != nil {
		c.from = r.from
	}
	at.own = own[:before]
	w.queue = append(w.queue, c)
	return c, nil
}

// flush makes sure that what is staged is written.
func (w *writer) flush() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// sendNow writes what is staged, if it is one small packet and the job server accepts it without a
// wait. It reports whether nothing is left for the writer's goroutine.
func (w *writer) sendNow() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.direct == nil || w.busy || w.err != nil || len(w.queue) != 1 {
		return false
	}
	c := w.queue[0]
	if !c.isWritten() || len(c.own) > writePiece {
		return false
	}
	n := w.direct.Write(c.own)
	if n == 0 {
		return false
	}
	w.wrote.Add(int64(n))
	w.staged -= n
	if n < len(c.own) {
		c.begun, c.own = true, c.own[n:]
		return false
	}
	w.keepLocked(c.own)
	w.pop()
	return true
}

// detach ends the use of a caller's bytes. If none of their packet was written, the packet is taken
// back and void is called with its request. Otherwise the rest is copied.
func (w *writer) detach(c *chunk, void func(*request)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.begun {
		c.body = bytes.Clone(c.body)
		return
	}
	for i, other := range w.queue {
		if other == c {
			w.queue = append(w.queue[:i], w.queue[i+1:]...)
			w.staged -= len(c.own)
			void(c.request)
			return
		}
	}
}

// run writes until the connection ends.
func (w *writer) run() {
	for {
		b, from := w.take()
		if from != nil {
			var err error
			if b, err = w.read(from); err != nil {
				from.fail(err)
				w.fail(err)
				return
			}
		}
		if b == nil {
			select {
			case <-w.wake:
				continue
			case <-w.ended:
				return
			}
		}
		if err := w.write(b); err != nil {
			w.fail(fmt.Errorf("write: %w", err))
			return
		}
		w.keep(b)
	}
}

// read reads the next bytes of a source, however many are available.
func (w *writer) read(from *source) ([]byte, error) {
	w.reading.Store(true)
	defer w.reading.Store(false)
	defer w.reads.Add(1) // before reading is cleared, so that the watchdog sees one of them
	n := int(min(from.left, copyPiece))
	if cap(w.piece) < n {
		w.piece = make([]byte, n)
	}
	n, err := io.ReadAtLeast(from.r, w.piece[:n], 1)
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%d of the announced bytes are missing: %w", from.left, io.ErrUnexpectedEOF)
	}
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if from.left -= int64(n); from.left == 0 && len(w.queue) > 0 {
		w.pop()
	}
	w.piece = w.piece[:n]
	return w.piece, nil
}

// take returns what to write next, or the source to read it from, or neither.
func (w *writer) take() ([]byte, *source) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy = len(w.queue) > 0
	for len(w.queue) > 0 {
		c := w.queue[0]
		c.begun = true
		if len(c.own) > 0 {
			b := c.own
			c.own = nil
			w.staged -= len(b)
			close(w.room)
			w.room = make(chan struct{})
			if c.isWritten() {
				w.pop()
			}
			return b, nil
		}
		if c.from != nil && c.from.left > 0 {
			return nil, c.from
		}
		if n := min(len(c.body), copyPiece); n > 0 {
			// Copied, since the caller may leave while it is written.
			w.piece = append(w.piece[:0], c.body[:n]...)
			c.body = c.body[n:]
			if len(c.body) == 0 {
				w.pop()
			}
			return w.piece, nil
		}
		w.pop()
	}
	w.busy, w.piece = false, nil // an idle connection holds no memory for it
	return nil, nil
}

func (w *writer) pop() {
	if c := w.queue[0]; c.request == nil && c.body == nil { // no caller knows it
		*c = chunk{}
		w.chunk = c
	}
	w.queue[0] = nil
	if len(w.queue) == 1 {
		w.queue = w.queue[:0]
		return
	}
	w.queue = w.queue[1:]
}

// keep keeps a buffer for reuse.
func (w *writer) keep(b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if cap(b) <= keepStaged && (len(w.piece) == 0 || &b[0] != &w.piece[0]) {
		w.keepLocked(b)
	}
}

// keepLocked keeps a buffer that is no longer in use.
func (w *writer) keepLocked(b []byte) {
	if w.spares[0] != nil {
		w.spares[1] = b[:0]
		return
	}
	w.spares[0] = b[:0]
}

func (w *writer) write(b []byte) error {
	if w.direct != nil && len(b) <= writePiece {
		n := w.direct.Write(b) // needs no deadline
		w.wrote.Add(int64(n))
		b = b[n:]
	}
	for len(b) > 0 {
		if err := w.nc.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
			return err
		}
		n, err := w.nc.Write(b[:min(len(b), writePiece)])
		w.wrote.Add(int64(n))
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// fail ends all writing. Part of a packet may have been written, so the connection is closed; err
// is the reason.
func (w *writer) fail(err error) {
	w.mu.Lock()
	if w.err == nil {
		w.err = err
	}
	w.queue, w.staged, w.spares, w.piece = nil, 0, [2][]byte{}, nil
	close(w.room)
	w.room = make(chan struct{})
	w.mu.Unlock()
	_ = w.nc.Close()
}

// failure is why writing failed, or nil.
func (w *writer) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}
