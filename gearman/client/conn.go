package client

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/internal/transport"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// conn is an open connection. Any goroutine sends; one reads and gives each answer to the request that it belongs to: servers answer the requests
// of a connection in their order.
type conn struct {
	c   *Client
	s   *server
	nc  net.Conn
	mid *midConn // nc, as in reads from it
	in  *proto.Conn
	out *transport.Outbox

	mu       sync.Mutex
	requests ring             // not answered yet
	jobs     map[string]*wait // foreground jobs by handle
	answered uint64
	dialect  proto.Dialect
	watching bool // the watchdog is set
	seen     uint64
	watchdog *time.Timer
	err      error // why the connection is of no more use

	toWake *Pipeline // of the reading goroutine
}

// request is what an answer is for: one of the fields is set.
type request struct {
	call  *call
	pipe  *Pipeline
	n     uint64 // pipe's number for it
	reply chan<- reply
	greet bool // sent by ourselves; nobody waits
}

type reply struct {
	packet proto.Packet // of its own memory
	err    error
}

// wait is who waits for a foreground job. Jobs with equal unique keys are one job to the server, which then sends everything once for each
// submission, one after the other: so each copy goes to the next in turn.
type wait struct {
	calls []*call
	at    int
}

// longestVersion is the longest line that is taken for a server's version.
const longestVersion = 4 << 10

func newConn(c *Client, s *server, nc net.Conn) *conn {
	mid := &midConn{Conn: nc, patience: c.o.ReplyTimeout}
	x := &conn{
		c: c, s: s, nc: nc, mid: mid, in: proto.NewConn(mid, proto.Limits{Line: longestVersion}),
		out: transport.NewOutbox(s.ep.String(), nc, c.o.WriteTimeout), jobs: make(map[string]*wait),
	}
	x.watchdog = time.AfterFunc(time.Hour, x.watch)
	x.watchdog.Stop()
	return x
}

// errNotSent marks a failure before anything of the request was sent.
var errNotSent = errors.New("not sent")

// greet asks for the version, to know the server's dialect, and for exceptions. A failure shows in the connection's end.
func (x *conn) greet() {
	_ = x.stage(request{greet: true}, func(dst []byte) []byte { return append(dst, "version\n"...) })
	if x.c.o.Exceptions {
		_ = x.stage(request{greet: true}, func(dst []byte) []byte { return proto.AppendOption(dst, proto.Request, "exceptions") })
	}
}

// stage enters a request and puts its packet into the outbox, both in one step, so that answers find their requests.
func (x *conn) stage(r request, encode func([]byte) []byte) error {
	var gone error
	err := x.out.Stage(func(dst []byte) []byte {
		if gone = x.enter(r); gone != nil {
			return dst
		}
		return encode(dst)
	})
	if err = errors.Join(gone, err); err != nil {
		return fmt.Errorf("%w: %w", errNotSent, err)
	}
	return nil
}

// stageLarge is stage of a packet whose data is too large to copy.
func (x *conn) stageLarge(r request, encode func([]byte) []byte, data []byte) error {
	entered := false
	var gone error
	err := x.out.StreamBytes(func(dst []byte) []byte {
		if gone = x.enter(r); gone != nil {
			return dst
		}
		entered = true
		return encode(dst)
	}, data)
	if entered {
		return nil // what comes now, the request is told
	}
	_ = x.nc.Close() // data may have been written without its packet
	return fmt.Errorf("%w: %w", errNotSent, errors.Join(gone, err))
}

func (x *conn) enter(r request) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.err != nil {
		return fmt.Errorf("job server %s: %w", x.s.ep, x.err)
	}
	x.requests.push(r)
	if !x.watching {
		x.watching, x.seen = true, x.answered
		x.watchdog.Reset(x.c.o.ReplyTimeout)
	}
	return nil
}

// send is stage and flush.
func (x *conn) send(r request, encode func([]byte) []byte) error {
	if err := x.stage(r, encode); err != nil {
		return err
	}
	_ = x.out.Flush() // the request is told of a failure, by the connection's end
	return nil
}

// watch closes the connection of a server that has answered nothing for too long.
func (x *conn) watch() {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.requests.n == 0 || x.err != nil:
		x.watching = false
		return
	case x.answered == x.seen:
		x.err = fmt.Errorf("no answer within %v", x.c.o.ReplyTimeout)
		_ = x.nc.Close() // the reader ends by it
		return
	}
	x.seen = x.answered
	x.watchdog.Reset(x.c.o.ReplyTimeout)
}

func (x *conn) readAll() error {
	for {
		x.mid.begun = false
		text, err := x.in.IsText()
		if err == nil {
			x.mid.begun = true
			if text {
				err = x.readVersion()
			} else {
				err = x.readPacket()
			}
		}
		if errors.Is(err, io.EOF) {
			err = errors.New("the server closed the connection")
		}
		if x.toWake != nil && (err != nil || !x.in.HasPacket()) {
			x.wakePipeline()
		}
		if err != nil {
			_ = x.nc.Close() // nothing more comes
			return cmp.Or(x.out.Err(), err)
		}
	}
}

// wakePipeline tells a pipeline of what was accepted. While more answers are in memory already it needn't wake: it then refills its window
// in one write.
func (x *conn) wakePipeline() {
	if x.toWake != nil {
		x.toWake.ping()
		x.toWake = nil
	}
}

// readVersion reads the one line of text that is asked for.
func (x *conn) readVersion() error {
	x.mu.Lock()
	asked := x.requests.n > 0 && x.requests.buf[x.requests.head].greet
	x.mu.Unlock()
	if !asked { // there may be no end to it, so not a byte of it is waited for
		return errors.New("text where none was asked for")
	}
	line, err := x.in.ReadLine()
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.requests.pop() // ours: only this goroutine takes any
	x.answered++
	x.dialect = proto.ParseVersion(string(line)).Dialect
	return nil
}

func (x *conn) readPacket() error {
	p, err := x.in.Next()
	if err != nil {
		return err
	}
	switch p.Type {
	case proto.TypeJobCreated, proto.TypeError, proto.TypeStatusRes, proto.TypeStatusResUnique, proto.TypeEchoRes, proto.TypeOptionRes:
		return x.answer(p)
	case proto.TypeWorkComplete, proto.TypeWorkFail, proto.TypeWorkException, proto.TypeWorkData, proto.TypeWorkWarning, proto.TypeWorkStatus:
		return x.work(p)
	case proto.TypeNoop:
		return nil
	}
	return fmt.Errorf("%s to a client: %w", p, proto.ErrType)
}

// answer gives an answer to the oldest request.
func (x *conn) answer(p proto.Packet) error {
	var refused error
	if p.Type == proto.TypeError {
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
	r, ok := x.requests.pop()
	if !ok {
		x.mu.Unlock()
		return fmt.Errorf("%s to no request (%w)", p, cmp.Or(refused, proto.ErrType))
	}
	x.answered++
	if (r.call != nil || r.pipe != nil) && refused == nil && p.Type != proto.TypeJobCreated {
		x.requests.unpop(r) // to be told of the failure
		x.mu.Unlock()
		return fmt.Errorf("%s to a submission: %w", p, proto.ErrType)
	}
	if r.call != nil && refused == nil && !r.call.task.Background {
		w := x.jobs[string(p.Data)]
		if w == nil {
			w = &wait{}
			x.jobs[string(p.Data)] = w
		}
		w.calls = append(w.calls, r.call)
	}
	x.mu.Unlock()
	switch {
	case r.call != nil && refused != nil:
		r.call.post(event{kind: failed, err: refused})
	case r.call != nil:
		r.call.post(event{kind: created, text: string(p.Data), server: x.s.ep.Addr})
	case r.pipe != nil:
		r.pipe.accepted(x, r.n, p.Data, refused)
		if x.toWake != r.pipe {
			x.wakePipeline()
			x.toWake = r.pipe
		}
	case r.reply != nil && refused != nil:
		r.reply <- reply{err: refused}
	case r.reply != nil:
		r.reply <- reply{packet: proto.Packet{Dir: p.Dir, Type: p.Type, Data: bytes.Clone(p.Data)}}
	case refused != nil:
		x.c.o.Logger.Warn("Job server refused an option", "error", refused)
	}
	return nil
}

// work gives what a worker sent to the call that waits for it.
func (x *conn) work(p proto.Packet) error {
	w, err := p.Work()
	if err != nil {
		return err
	}
	x.mu.Lock()
	final := p.Type.IsFinal() && (p.Type != proto.TypeWorkException || x.dialect != proto.Perl)
	waiting := x.jobs[string(w.Handle)]
	if waiting == nil {
		x.mu.Unlock()
		return nil // of a job that was ended already
	}
	call := waiting.calls[waiting.at]
	if final {
		waiting.calls = append(waiting.calls[:waiting.at], waiting.calls[waiting.at+1:]...)
	} else {
		waiting.at++
	}
	if waiting.at >= len(waiting.calls) {
		waiting.at = 0
	}
	if len(waiting.calls) == 0 {
		delete(x.jobs, string(w.Handle))
	}
	x.mu.Unlock()
	ev := event{data: bytes.Clone(w.Data)}
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
		ev.n, ev.d, _ = w.Progress() // what is no number is told as 0 of 0
	}
	call.post(ev)
	return nil
}

// fail tells all that wait that the connection has ended.
func (x *conn) fail(err error) {
	x.mu.Lock()
	if x.err == nil {
		x.err = err
	}
	err = x.err
	requests, jobs := x.requests, x.jobs
	x.requests, x.jobs = ring{}, nil
	x.watchdog.Stop()
	x.mu.Unlock()
	uncertain := fmt.Errorf("job server %s: %w: %w", x.s.ep, ErrUncertain, err)
	lost := fmt.Errorf("job server %s: %w: %w", x.s.ep, ErrDisconnected, err)
	if errors.Is(err, ErrClosed) {
		lost = fmt.Errorf("job server %s: %w", x.s.ep, err)
	}
	for {
		r, ok := requests.pop()
		if !ok {
			break
		}
		switch {
		case r.call != nil:
			r.call.post(event{kind: failed, err: uncertain})
		case r.pipe != nil:
			r.pipe.accepted(x, r.n, nil, uncertain)
			r.pipe.ping()
		case r.reply != nil:
			r.reply <- reply{err: fmt.Errorf("job server %s: %w", x.s.ep, err)}
		}
	}
	for _, w := range jobs {
		for _, call := range w.calls {
			call.post(event{kind: failed, err: lost})
		}
	}
}

// midConn bounds how long a server may be silent in the middle of something. Its fields are the reading goroutine's.
type midConn struct {
	net.Conn
	patience time.Duration
	begun    bool // something was begun and has to go on
	bounded  bool // a deadline is set
}

func (c *midConn) Read(p []byte) (int, error) {
	if c.begun || c.bounded {
		var deadline time.Time
		if c.begun {
			deadline = time.Now().Add(c.patience)
		}
		if err := c.SetReadDeadline(deadline); err != nil {
			return 0, err
		}
		c.bounded = c.begun
	}
	n, err := c.Conn.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("nothing for %v in the middle of a packet", c.patience)
	}
	return n, err
}

// ring is a queue that keeps its memory.
type ring struct {
	buf  []request
	head int
	n    int
}

func (q *ring) push(r request) {
	if q.n == len(q.buf) {
		bigger := make([]request, max(16, 2*len(q.buf)))
		for i := range q.n {
			bigger[i] = q.buf[(q.head+i)%len(q.buf)]
		}
		q.buf, q.head = bigger, 0
	}
	q.buf[(q.head+q.n)&(len(q.buf)-1)] = r
	q.n++
}

func (q *ring) pop() (request, bool) {
	if q.n == 0 {
		return request{}, false
	}
	r := q.buf[q.head]
	q.buf[q.head] = request{}
	q.head = (q.head + 1) & (len(q.buf) - 1)
	q.n--
	return r, true
}

// unpop puts back what pop gave last.
func (q *ring) unpop(r request) {
	q.head = (q.head - 1) & (len(q.buf) - 1)
	q.buf[q.head] = r
	q.n++
}
