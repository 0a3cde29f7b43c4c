package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// conn is an open connection. Any goroutine stages requests; one at a time writes them, and one
// reads and gives each answer to the request that it belongs to: servers answer the requests of a
// connection in their order.
type conn struct {
	c     *Client
	s     *server
	nc    net.Conn
	mid   *midConn // nc, as in reads from it
	in    *proto.Conn
	out   *writer
	ended chan struct{} // closed when the connection has ended
	took  time.Duration // to open it
	// holding: the reader waits for the caller that the connection belongs to, to take what came.
	holding atomic.Bool
	holds   atomic.Int64 // that have ended: progress, before anything more is read

	mu       sync.Mutex
	requests ring             // not answered yet
	jobs     map[string]*wait // foreground jobs by handle
	proven   bool             // the server has answered
	givenUp  bool             // by the caller whose own it was
	version  proto.Version
	noCancel bool // the server doesn't know the command that cancels a job
	watching bool // the watchdog is set
	seen     int64
	watchdog *time.Timer
	err      error // why the connection is of no more use

	toWake bool // those who produce; of the reading goroutine
}

// request is what an answer is for.
type request struct {
	ticket   *ticket                    // a submission
	produced bool                       // a submission of Produce
	done     func(gearman.JobID, error) // of that; may be nil
	reply    chan<- reply
	text     textKind // a command that is answered by a line of text
	void     bool     // taken back before it was sent
	from     *source  // of a submission's payload, or nil
}

type textKind int

const (
	noText textKind = iota
	versionText
	cancelText
)

type reply struct {
	packet proto.Packet // of its own memory
	err    error
}

// ticket ties a submission to the call that waits for it. conn.mu guards it.
type ticket struct {
	call       *call  // nil: nobody waits any more
	handle     string // once the job is accepted
	background bool
	alone      bool // the job has no key by which others could have joined it
}

// wait is who waits for a foreground job. Jobs with equal unique keys are one job to the server,
// which then sends everything once for each submission, one after the other: so each copy goes to
// the next in turn, also if nobody waits for that one any more.
type wait struct {
	tickets []*ticket
	at      int
}

// errNotSent marks a failure before anything of the request was sent.
var errNotSent = errors.New("not sent")

func newConn(c *Client, s *server, nc net.Conn) *conn {
	mid := &midConn{Conn: nc, timeout: c.o.ReplyTimeout}
	x := &conn{
		c: c, s: s, nc: nc, mid: mid, in: proto.NewConn(mid, proto.Limits{Line: longestVersion, Packet: c.o.MaxResult}),
		out: newWriter(nc, c.o.WriteTimeout), ended: make(chan struct{}), jobs: make(map[string]*wait),
	}
	x.out.ended = x.ended
	x.watchdog = time.AfterFunc(time.Hour, x.watch)
	x.watchdog.Stop()
	return x
}

// greet asks for the version, to know the server's dialect, and for exceptions. A failure shows in
// the connection's end.
func (x *conn) greet() {
	_, _ = x.stage(
		context.Background(), request{text: versionText},
		func(dst []byte) []byte { return append(dst, "version\n"...) }, nil,
	)
	if x.c.o.Exceptions {
		_, _ = x.stage(context.Background(), request{
			reply: make(chan reply, 1),
		}, func(dst []byte) []byte { // nobody waits
			return proto.AppendOption(dst, proto.Request, "exceptions")
		}, nil)
	}
}

// stage enters a request and queues its packet, both in one step, so that answers find their
// requests. body is what encode's packet ends with, if it is too large to copy.
func (x *conn) stage(ctx context.Context, r request, encode func([]byte) []byte, body []byte) (*chunk, error) {
	c, err := x.out.stage(ctx, func(dst []byte) ([]byte, *request, error) {
		entered, err := x.enter(r)
		if err != nil {
			return nil, nil, err
		}
		return encode(dst), entered, nil
	}, body)
	if err != nil {
		return nil, fmt.Errorf("job server %s: %w: %w", x.s.ep, errNotSent, err)
	}
	return c, nil
}

// send makes sure that what is staged is written. Where only its caller waits for an answer, that
// writes it itself, which saves two switches between goroutines; where many do, the writer's
// goroutine puts more into a write.
func (x *conn) send() {
	x.mu.Lock()
	alone := x.requests.n <= 1
	x.mu.Unlock()
	if !alone || !x.out.sendNow() {
		x.out.flush()
	}
}

func (x *conn) enter(r request) (*request, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.err != nil {
		return nil, x.err
	}
	entered := x.requests.push(r)
	x.watchLocked()
	return entered, nil
}

// watchLocked sets the watchdog, if something is waited for.
func (x *conn) watchLocked() {
	if x.watching || x.requests.n == 0 && len(x.jobs) == 0 {
		return
	}
	x.watching, x.seen = true, x.progress()
	x.watchdog.Reset(x.silenceLimit())
}

// silenceLimit is how long the connection may be silent now.
func (x *conn) silenceLimit() time.Duration {
	if x.requests.n > 0 {
		return x.c.o.ReplyTimeout
	}
	return x.c.o.KeepAlive
}

// progress counts the bytes in both directions, and the waits for a caller that have ended.
func (x *conn) progress() int64 {
	return x.mid.read.Load() + x.out.wrote.Load() + x.holds.Load() + x.out.reads.Load()
}

// watch closes the connection of a server from which and to which nothing went for too long while
// it owed an answer. Where only jobs are waited for, it asks the server for an echo, which also
// keeps what lies between (proxies, address translation) from giving the connection up.
func (x *conn) watch() {
	x.mu.Lock()
	defer x.mu.Unlock()
	// The flags come first: a wait that ends between the two is in the count.
	waits := x.holding.Load() || x.out.reading.Load()
	now := x.progress()
	still := now == x.seen && !waits
	x.seen = now
	switch {
	case x.err != nil || x.requests.n == 0 && len(x.jobs) == 0:
		x.watching = false
		return
	case still && x.requests.n > 0:
		x.err = fmt.Errorf("no answer within %v", x.c.o.ReplyTimeout)
		_ = x.nc.Close() // the reader ends by it
		return
	case still:
		x.c.wg.Go(x.keepAlive)
	}
	x.watchdog.Reset(x.silenceLimit())
}

func (x *conn) keepAlive() {
	// A failure ends the connection.
	_, _ = x.stage(
		x.c.ctx, request{reply: make(chan reply, 1)},
		func(dst []byte) []byte { return proto.AppendEcho(dst, proto.Request, "") }, nil,
	)
	x.out.flush()
}

// leave forgets a submission for which nobody waits any more: what comes of its job is dropped, and
// the job is taken back at the server if that harms nobody else. It reports whether any of the
// submission may have been sent.
func (x *conn) leave(t *ticket, c *chunk) (sent bool) {
	sent = true
	if c != nil {
		x.out.detach(c, func(r *request) {
			x.mu.Lock()
			defer x.mu.Unlock()
			if r.ticket == t {
				r.void, sent = true, false
			}
		})
	}
	x.mu.Lock()
	t.call = nil
	cancel := x.cancelableLocked(t)
	x.mu.Unlock()
	if cancel {
		x.cancel(t.handle)
	}
	return sent
}

// cancelableLocked reports whether the server is to be told that nobody waits for an accepted job:
// it knows the command, and the job is the caller's alone.
func (x *conn) cancelableLocked(t *ticket) bool {
	return t.call == nil && t.handle != "" && t.alone && !t.background && x.err == nil && x.jobs[t.handle] != nil &&
		x.version.Dialect.Cancels() && !x.noCancel && proto.CheckCommand("cancel job "+t.handle) == nil
}

// cancel takes a job back. It doesn't wait: where much is queued already the job stays.
func (x *conn) cancel(handle string) {
	gone, end := context.WithCancel(context.Background())
	end()
	_, err := x.stage(gone, request{text: cancelText}, func(dst []byte) []byte {
		return append(append(append(dst, "cancel job "...), handle...), '\n')
	}, nil)
	if err == nil {
		x.out.flush()
	}
}

// reason is why the connection has ended: what the watchdog found, if it was that; else what the
// reader did.
func (x *conn) reason(read error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.err == nil {
		x.err = read
	}
	return x.err
}

// fail tells all that wait that the connection has ended.
func (x *conn) fail(err error) {
	x.mu.Lock()
	x.err = err
	requests, jobs := x.requests, x.jobs
	x.requests, x.jobs = ring{}, nil
	x.watchdog.Stop()
	x.mu.Unlock()
	close(x.ended)
	uncertain := fmt.Errorf("job server %s: %w: %w", x.s.ep, ErrUncertain, err)
	lost := fmt.Errorf("job server %s: %w: %w", x.s.ep, ErrDisconnected, err)
	if errors.Is(err, ErrClosed) {
		lost = fmt.Errorf("job server %s: %w", x.s.ep, err)
	}
	tell := func(t *ticket, err error) {
		x.mu.Lock()
		call := t.call
		t.call = nil
		x.mu.Unlock()
		if call != nil {
			call.post(event{kind: failed, err: err})
		}
	}
	for {
		r, ok := requests.pop()
		if !ok {
			break
		}
		switch {
		case r.void:
		case r.ticket != nil:
			tell(r.ticket, uncertain)
		case r.produced:
			x.answered(&r, proto.Packet{}, uncertain)
		case r.reply != nil:
			r.reply <- reply{err: fmt.Errorf("job server %s: %w", x.s.ep, err)}
		}
	}
	x.c.producer.wake()
	for _, w := range jobs {
		for _, t := range w.tickets {
			tell(t, lost)
		}
	}
}

// idle reports whether nothing is waited for.
func (x *conn) idle() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.err == nil && x.requests.n == 0 && len(x.jobs) == 0
}

// isUsable reports whether requests can be sent.
func (x *conn) isUsable() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.err == nil && !x.givenUp
}

// isProven reports whether the server has ever answered.
func (x *conn) isProven() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.proven
}

// giveUp closes a connection that its caller has no more use for.
func (x *conn) giveUp() {
	x.mu.Lock()
	x.givenUp = true
	x.mu.Unlock()
	_ = x.nc.Close() // the reader ends by it
}

func (x *conn) isGivenUp() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.givenUp
}

// cause is why the connection ended: a failed write says more than the end of the reads that
// follows from it.
func (x *conn) cause(read error) error { return cmp.Or(x.out.failure(), read) }

// ring is a queue that keeps its memory.
type ring struct {
	buf  []*request
	head int
	n    int
}

func (q *ring) push(r request) *request {
	if q.n == len(q.buf) {
		bigger := make([]*request, max(16, 2*len(q.buf)))
		for i := range q.n {
			bigger[i] = q.buf[(q.head+i)%len(q.buf)]
		}
		q.buf, q.head = bigger, 0
	}
	at := &q.buf[(q.head+q.n)&(len(q.buf)-1)]
	if *at == nil {
		*at = new(request)
	}
	**at = r
	q.n++
	return *at
}

// first is the oldest, or nil. It is of the ring's memory.
func (q *ring) first() *request {
	if q.n == 0 {
		return nil
	}
	return q.buf[q.head]
}

func (q *ring) pop() (request, bool) {
	if q.n == 0 {
		return request{}, false
	}
	at := q.buf[q.head]
	r := *at
	*at = request{}
	q.head = (q.head + 1) & (len(q.buf) - 1)
	q.n--
	return r, true
}
