package client

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// longestVersion is the longest line that is accepted as a job server's version.
const longestVersion = 4 << 10

// midConn bounds how long a job server may be silent in the middle of a packet or line. Only the
// reading goroutine uses its fields, except read.
type midConn struct {
	net.Conn
	timeout time.Duration
	read    atomic.Int64 // bytes
	begun   bool         // a packet or line has begun and must go on
	bounded bool         // a deadline is set
}

func (c *midConn) Read(p []byte) (int, error) {
	if c.begun || c.bounded {
		var deadline time.Time
		if c.begun {
			deadline = time.Now().Add(c.timeout)
		}
		if err := c.SetReadDeadline(deadline); err != nil {
			return 0, err
		}
		c.bounded = c.begun
	}
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("nothing for %v in the middle of a packet", c.timeout)
	}
	return n, err
}

func (x *conn) readAll() error {
	for {
		x.mid.begun = false
		text, err := x.in.IsText()
		if err == nil {
			x.mid.begun = true
			if text {
				err = x.readText()
			} else {
				err = x.readPacket()
			}
		}
		if errors.Is(err, io.EOF) {
			err = errors.New("the server closed the connection")
		}
		last := err != nil || !x.in.HasPacket()
		if last {
			// Not while more responses are in memory: the callers that wait then fill the room in
			// one write.
			x.settle()
		}
		if err != nil {
			_ = x.nc.Close() // nothing more will come
			return x.cause(err)
		}
		if last && x.idle() {
			// The caller that got the last response runs next here. If it sends another request at
			// once, the response may have arrived when this goroutine reads, which then doesn't wait.
			runtime.Gosched()
		}
	}
}

// nextLocked returns the oldest request that was sent.
func (x *conn) nextLocked() *request {
	for r := x.requests.first(); r != nil; r = x.requests.first() {
		if !r.void {
			return r
		}
		x.requests.pop()
	}
	return nil
}

// readText reads a line of text, if one was requested.
func (x *conn) readText() error {
	x.mu.Lock()
	r := x.nextLocked()
	asked := r != nil && r.text != noText
	x.mu.Unlock()
	if !asked { // it may never end, so none of it is read
		return errors.New("text without a request")
	}
	line, err := x.in.ReadLine()
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	answered, _ := x.requests.pop() // this is r: only this goroutine removes requests
	x.proven = true
	if answered.reply != nil {
		answered.reply <- reply{packet: proto.Packet{Data: bytes.Clone(line)}}
	}
	switch answered.text {
	case versionText:
		x.version = proto.ParseVersion(string(line))
	case cancelText:
		// The response is OK, or that the job is unknown, or that the command is.
		r, ok := proto.ParseReply(line)
		x.noCancel = !ok || r.Err != nil && r.Err.Code != "UNKNOWN_JOB"
	case noText:
	}
	return nil
}

func (x *conn) readPacket() error {
	h, err := x.in.ReadHeader()
	if err != nil {
		return err
	}
	about := false // whether the packet is about a job
	switch h.Type {
	case proto.TypeJobCreated, proto.TypeError, proto.TypeStatusRes, proto.TypeStatusResUnique,
		proto.TypeEchoRes, proto.TypeOptionRes:
	case proto.TypeWorkComplete, proto.TypeWorkFail, proto.TypeWorkException, proto.TypeWorkData, proto.TypeWorkWarning,
		proto.TypeWorkStatus:
		about = true
	case proto.TypeNoop:
		return nil
	default:
		return fmt.Errorf("%s %s sent to a client: %w", h.Dir, h.Type, proto.ErrType)
	}
	if h.Size > streamPiece && (h.Type == proto.TypeWorkComplete || h.Type == proto.TypeWorkData) {
		if streamed, err := x.streamResult(h); streamed || err != nil {
			return err
		}
	}
	p := proto.Packet{Dir: h.Dir, Type: h.Type}
	var tooLarge error
	n := int(h.Size)
	if int64(h.Size) > int64(x.c.o.MaxResult) {
		tooLarge = fmt.Errorf(
			"%s of %d bytes is over the limit of %d (Options.MaxResult): %w", h.Type, h.Size, x.c.o.MaxResult,
			proto.ErrTooLarge,
		)
		n = min(proto.MaxHandle+1, x.c.o.MaxResult) // enough to find the job's handle; the rest is skipped
	}
	owned := about && tooLarge == nil && n > bulk
	if owned {
		p.Data, err = x.readLarge(n)
	} else {
		p.Data, err = x.in.Peek(n)
	}
	if err != nil {
		return err
	}
	if about {
		x.work(p, tooLarge, owned)
	} else if err := x.answer(p, tooLarge); err != nil {
		return err
	}
	for x.in.Rest() > 0 { // within the packet's timeout, since skipping a packet that is too large can take long
		if err := x.in.Discard(1 << 30); err != nil {
			return err
		}
	}
	return nil
}

// readLarge reads the data of a large packet about a job into memory of its own, which it allocates
// as the bytes arrive. If nobody waits for the job, it reads only the handle.
func (x *conn) readLarge(size int) ([]byte, error) {
	front, err := x.in.Peek(proto.MaxHandle + 1)
	if err != nil {
		return nil, err
	}
	if handle, _, ok := bytes.Cut(front, []byte{0}); !ok || !x.isWaitedFor(handle) {
		return front, nil
	}
	buf := make([]byte, bulk)
	for have := 0; ; {
		n, err := io.ReadFull(x.in, buf[have:])
		have += n
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if have == size {
			return buf, nil
		}
		bigger := make([]byte, min(size, 4*have))
		copy(bigger, buf)
		buf = bigger
	}
}

// isWaitedFor reports whether somebody waits for the next packet about a job.
func (x *conn) isWaitedFor(handle []byte) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	w := x.jobs[string(handle)]
	return w != nil && w.tickets[w.at].call != nil
}

// answer matches a response to the oldest request. A response of the wrong type ends the
// connection, since later requests would get the wrong responses.
func (x *conn) answer(p proto.Packet, odd error) error {
	refused := odd
	if p.Type == proto.TypeError && odd == nil {
		se, err := p.ServerError()
		if err != nil {
			return err
		}
		refused = fmt.Errorf("job server %s: %w", x.s.ep, se)
		if se.Code == proto.CodeQueueError {
			refused = fmt.Errorf("%w (%w)", ErrQueueFull, refused)
		}
	}
	x.mu.Lock()
	r := x.nextLocked()
	switch {
	case r == nil || r.text != noText:
		x.mu.Unlock()
		return fmt.Errorf("%s without a request (%w)", p, cmp.Or(refused, proto.ErrType))
	case (r.ticket != nil || r.produced) && refused == nil && p.Type != proto.TypeJobCreated:
		x.mu.Unlock() // the request stays, so that it gets the connection's error
		return fmt.Errorf("%s in response to a submission: %w", p, proto.ErrType)
	}
	got, _ := x.requests.pop()
	x.proven = true
	if t := got.ticket; t != nil {
		call := t.call
		handle := string(p.Data)
		cancel := x.acceptedLocked(t, handle, refused)
		x.mu.Unlock()
		switch {
		case cancel:
			x.cancel(t.handle)
		case call == nil:
		case refused != nil:
			call.post(event{kind: failed, err: refused})
		default:
			call.post(event{kind: created, text: handle, server: x.s.ep.Addr})
		}
		return nil
	}
	x.mu.Unlock()
	switch {
	case got.produced:
		x.answered(&got, p, refused)
	case refused != nil:
		got.reply <- reply{err: refused}
	default:
		got.reply <- reply{packet: proto.Packet{Dir: p.Dir, Type: p.Type, Data: bytes.Clone(p.Data)}}
	}
	return nil
}

// acceptedLocked enters an accepted foreground job. It reports whether to cancel the job because
// nobody waits for it any more.
func (x *conn) acceptedLocked(t *ticket, handle string, refused error) (cancel bool) {
	if refused != nil || t.background {
		t.call = nil
		return false
	}
	t.handle = handle
	w := x.jobs[t.handle]
	if w == nil {
		w = &wait{}
		w.tickets = w.one[:0]
		x.jobs[t.handle] = w
	}
	w.tickets = append(w.tickets, t)
	x.watchLocked()
	return x.cancelableLocked(t)
}

// work passes a worker's packet to the call that waits for it. If the packet is invalid, only that
// call fails. owned data may be kept.
func (x *conn) work(p proto.Packet, odd error, owned bool) {
	w, err := p.Work()
	if odd == nil && err != nil {
		odd = fmt.Errorf("%w (%s)", err, p)
	}
	if odd != nil {
		w.Handle, _, _ = bytes.Cut(p.Data, []byte{0})
	}
	call, t, final := x.takesLocked(w.Handle, p.Type)
	if call == nil {
		return // the job has ended already, or nobody waits for it
	}
	if odd != nil {
		call.post(event{kind: failed, err: fmt.Errorf("job server %s: %w", x.s.ep, odd)})
		x.leave(t, nil)
		return
	}
	ev := event{data: w.Data}
	if !owned {
		ev.data = bytes.Clone(w.Data)
	}
	if len(w.Data) > bulk {
		x.c.large.add(call.function)
	}
	switch p.Type {
	case proto.TypeWorkComplete:
		ev.kind = completed
	case proto.TypeWorkFail:
		ev.kind, ev.err = failed, ErrFailed
	case proto.TypeWorkException:
		ev.kind, ev.final = exception, final
	case proto.TypeWorkData:
		ev.kind = data
	case proto.TypeWorkWarning:
		ev.kind = warning
	case proto.TypeWorkStatus:
		ev.kind = progress
		ev.n, ev.d, _ = w.Progress() // values that are not numbers are reported as 0 of 0
	}
	unread := call.post(ev)
	switch limit := x.c.o.MaxResult + heldParts; {
	case final:
	case x.own:
		x.hold(call)
	case unread > limit:
		call.post(event{kind: failed, err: fmt.Errorf(
			"the callbacks of the call are too slow: %d bytes wait for them (Options.MaxResult is %d): %w",
			unread, x.c.o.MaxResult, proto.ErrTooLarge,
		)})
		x.leave(t, nil)
	}
}

// takesLocked finds the call that gets a packet about a job.
func (x *conn) takesLocked(handle []byte, typ proto.Type) (*call, *ticket, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	final := typ.IsFinal() && (typ != proto.TypeWorkException || x.version.Dialect.ExceptionEnds())
	w := x.jobs[string(handle)]
	if w == nil {
		return nil, nil, final
	}
	t := w.tickets[w.at]
	if final {
		w.tickets = append(w.tickets[:w.at], w.tickets[w.at+1:]...)
	} else {
		w.at++
	}
	if w.at >= len(w.tickets) {
		w.at = 0
	}
	if len(w.tickets) == 0 {
		delete(x.jobs, string(handle))
	}
	call := t.call
	if final {
		t.call = nil
	}
	return call, t, final
}

// hold waits, on a connection that belongs to one caller, until the caller has taken the received
// data. This makes the job server wait instead of filling memory. On a connection that callers
// share it would make them wait for each other.
func (x *conn) hold(call *call) {
	room, left := call.box.full()
	if room == nil {
		return
	}
	x.holding.Store(true)
	defer x.holding.Store(false)
	defer x.holds.Add(1) // before holding is cleared, so that the watchdog sees one of them
	select {
	case <-room:
	case <-left:
	case <-x.c.ctx.Done():
	}
}
