package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Outbox writes the packets that many goroutines have for one connection. Small packets are staged
// in a buffer. The first goroutine that flushes writes for all: packets staged meanwhile go into
// the next write, so a busy connection has few large writes without a goroutine of its own. Outbox
// is safe for concurrent use; its lock is never held during a write that can block.
type Outbox struct {
	nc      net.Conn
	server  string        // for errors
	timeout time.Duration // for each piece of at most writePiece bytes
	direct  *Direct       // tried first, or nil; used by the goroutine that writes
	wrote   func(n int)   // made once, since it would be allocated for each call

	mu         sync.Mutex
	turn       sync.Cond // signaled when busy ends
	buf, spare []byte
	busy       bool // a goroutine is writing
	err        error
}

const (
	writePiece = 256 << 10 // each piece of this size must be written within timeout
	stageLimit = 1 << 20   // above this, callers that stage wait for the writer
	keepStaged = 256 << 10 // a larger buffer isn't kept for reuse
	// CopyLimit is the size above which writing data with Stream is better than copying it with
	// Stage.
	CopyLimit = 64 << 10
)

// NewOutbox returns the outbox of the connection to a job server, whose name is used in errors. If
// a piece can't be written within timeout, that call and every later one fails.
func NewOutbox(server string, nc net.Conn, timeout time.Duration) *Outbox {
	o := &Outbox{nc: nc, server: server, timeout: timeout, direct: NewDirect(nc)}
	o.turn.L = &o.mu
	o.wrote = func(n int) {
		o.buf = append(o.buf[:0], o.buf[n:]...)
		o.mu.Unlock()
	}
	return o
}

// Stage lets encode append to the buffer, which the next flush writes. The error is that of an
// earlier write.
func (o *Outbox) Stage(encode func(dst []byte) []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stage(encode)
	return o.failure()
}

// stage is Stage for callers that hold the lock.
func (o *Outbox) stage(encode func(dst []byte) []byte) {
	for o.busy && len(o.buf) > stageLimit && o.err == nil {
		o.turn.Wait()
	}
	if o.err == nil {
		o.buf = encode(o.buf)
	}
}

// Staged returns how many bytes wait for a flush.
func (o *Outbox) Staged() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.buf)
}

// Err returns why writing failed, or nil. It doesn't name the job server, for callers that do.
func (o *Outbox) Err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// failure is Err with the job server's name.
func (o *Outbox) failure() error {
	if o.err == nil {
		return nil
	}
	return fmt.Errorf("job server %s: %w", o.server, o.err)
}

// Flush writes the staged bytes. If another goroutine is writing, it also writes these, and Flush
// returns at once.
func (o *Outbox) Flush() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.busy {
		o.drain()
	}
	return o.failure()
}

// Send is Stage followed by Flush.
func (o *Outbox) Send(encode func(dst []byte) []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stage(encode); !o.busy {
		o.drain()
	}
	return o.failure()
}

// SendAndRead is Send, and then a read of the connection. It is for the goroutine that reads from
// it, after a request to which there is a response.
func (o *Outbox) SendAndRead(encode func(dst []byte) []byte, p []byte) (int, error) {
	o.mu.Lock()
	o.stage(encode)
	if o.direct == nil || o.busy || o.err != nil || len(o.buf) > CopyLimit {
		o.mu.Unlock()
	} else if n, all, err := o.direct.Exchange(o.buf, p, o.wrote); all || err != nil {
		return n, err
	}
	if err := o.Flush(); err != nil {
		return 0, err
	}
	return o.nc.Read(p)
}

// Stream writes the staged bytes, then the output of encode, then size bytes of body, with no other
// packet in between and without holding body in memory. If body is too short, the connection can't
// be used any more, and is closed.
func (o *Outbox) Stream(encode func(dst []byte) []byte, body io.Reader, size int64) error {
	return o.stream(encode, func() error { return o.copyBody(body, size) })
}

// StreamBytes is Stream for bytes in memory, which are not copied.
func (o *Outbox) StreamBytes(encode func(dst []byte) []byte, body []byte) error {
	return o.stream(encode, func() error { return o.writeAll(body) })
}

func (o *Outbox) stream(encode func(dst []byte) []byte, body func() error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.busy && o.err == nil {
		o.turn.Wait()
	}
	if o.err != nil {
		return o.failure()
	}
	o.buf = encode(o.buf)
	o.write(func(b []byte) error {
		if err := o.writeAll(b); err != nil {
			return err
		}
		return body()
	})
	o.drain() // the bytes staged meanwhile
	return o.failure()
}

// drain writes until nothing is staged. The lock is held on entry and on return, not during writes.
func (o *Outbox) drain() {
	for o.err == nil && len(o.buf) > 0 {
		o.write(o.writeAll)
	}
}

// write passes the staged bytes to f, without holding the lock.
func (o *Outbox) write(f func([]byte) error) {
	b := o.buf
	o.buf, o.spare, o.busy = o.spare[:0], nil, true
	o.mu.Unlock()
	err := f(b)
	o.mu.Lock()
	if cap(b) <= keepStaged {
		o.spare = b[:0]
	}
	o.busy = false
	if err != nil && o.err == nil {
		o.err = fmt.Errorf("write: %w", err)
		_ = o.nc.Close() // part of a packet was written; err has the cause
	}
	o.turn.Broadcast()
}

func (o *Outbox) writeAll(b []byte) error {
	if o.direct != nil && len(b) <= writePiece {
		// Setting a deadline costs more than encoding a small packet. Almost every write ends here.
		b = b[o.direct.Write(b):]
	}
	for len(b) > 0 {
		if err := o.nc.SetWriteDeadline(time.Now().Add(o.timeout)); err != nil {
			return err
		}
		n, err := o.nc.Write(b[:min(len(b), writePiece)])
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (o *Outbox) copyBody(body io.Reader, size int64) error {
	for size > 0 {
		if err := o.nc.SetWriteDeadline(time.Now().Add(o.timeout)); err != nil {
			return err
		}
		// With io.CopyN, a TCP connection can send a file's bytes without copying them through
		// here.
		n, err := io.CopyN(o.nc, body, min(size, writePiece))
		size -= n
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%d of the announced bytes are missing: %w", size, io.ErrUnexpectedEOF)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
