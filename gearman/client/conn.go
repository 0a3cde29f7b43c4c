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

// conn is an open connection. Any goroutine stages requests. One goroutine at a time writes them,
// and one reads and matches each response to its request: job servers respond to the requests of a
// connection in order.
type conn struct {
	c     *Client
	s     *server
	nc    net.Conn
	mid   *midConn // nc, as the reader for in
	in    *proto.Conn
	out   *writer
	ended chan struct{} // closed when the connection has ended
	took  time.Duration // how long opening it took
	own   bool          // it belongs to one caller at a time
	// holding: the reader waits until the caller that owns the connection has taken the received
	// data.
	holding atomic.Bool
	holds   atomic.Int64 // number of these waits that have ended; each counts as progress

	mu       sync.Mutex
	requests ring             // not yet answered
	jobs     map[string]*wait // foreground jobs by handle
	proven   bool             // the server has responded
	givenUp  bool             // by the caller that owned it
	version  proto.Version
	noCancel bool // the server doesn't know the cancel command
	watching bool // the watchdog is set
	seen     int64
	watchdog *time.Timer
	err      error // why the connection can't be used any more

	// Submissions of Produce that have been answered and are still counted, and the first of their
	// errors; used by the reading goroutine.
	left    int
	leftErr error
}

// request is an entry for which a response is expected.
type request struct {
	ticket   *ticket                    // a submission
	produced bool                       // a submission of Produce
	done     func(gearman.JobID, error) // called for a produced submission; may be nil
	reply    chan<- reply
	text     textKind // a command whose response is a line of text
	void     bool     // taken back before it was sent
	from     *source  // reader of a submission's payload, or nil
}

type textKind int

const (
	noText textKind = iota
	versionText
	cancelText
)

type reply struct {
	packet proto.Packet // in memory of its own
	err    error
}

// ticket ties a submission to the call that waits for it. conn.mu guards it.
type ticket struct {
	call       *call  // nil: nobody waits for it any more
	handle     string // once the job is accepted
	background bool
	alone      bool // the job has no key, so no other submission can have joined it
}

// wait is the submissions that wait for a foreground job. Jobs with equal unique keys are one job
// to the job server, which sends every packet once for each submission, one after the other. So
// each copy goes to the next ticket in turn, even if nobody waits for that ticket any more.
type wait struct {
	tickets []*ticket
	one     [1]*ticket // memory for tickets: most jobs have no more
	at      int
}

// errNotSent marks a failure before any part of the request was sent.
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

// greet requests the version, to learn the job server's dialect, and exceptions if they are wanted.
// A failure shows when the connection ends.
func (x *conn) greet() {
	_, _ = x.stage(
		context.Background(), request{text: versionText},
		func(dst []byte) []byte { return append(dst, "version\n"...) }, nil,
	)
	if x.c.o.Exceptions {
		_, _ = x.stage(context.Background(), request{
			reply: make(chan reply, 1),
		}, func(dst []byte) []byte { // nobody waits for it
			return proto.AppendOption(dst, proto.Request, "exceptions")
		}, nil)
	}
}

// stage enters a request and queues its packet in one step, so that responses match their requests.
// body is the end of encode's packet, if it is too large to copy.
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

// send makes sure that what is staged is written. If only its caller waits for a response, the
// caller writes it itself, which saves two switches between goroutines. If many wait, the writer's
// goroutine combines more packets in one write.
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

// watchLocked sets the watchdog if a response is outstanding.
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

// watch closes the connection if nothing was sent or received for too long while the job server
// owed a response. If only results of jobs are outstanding, it requests an echo, which also keeps
// proxies and address translators from dropping the connection.
func (x *conn) watch() {
	x.mu.Lock()
	defer x.mu.Unlock()
	// The flags are read first: a wait that ends between the two reads is then in the count.
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
		_ = x.nc.Close() // this ends the reader
		return
	case still:
		x.c.wg.Go(x.keepAlive)
	}
	x.watchdog.Reset(x.silenceLimit())
}

func (x *conn) keepAlive() {
	// If it fails, the connection ends.
	_, _ = x.stage(
		x.c.ctx, request{reply: make(chan reply, 1)},
		func(dst []byte) []byte { return proto.AppendEcho(dst, proto.Request, "") }, nil,
	)
	x.out.flush()
}

// leave forgets a submission for which nobody waits any more. Later packets about its job are
// dropped, and the job is canceled at the job server if that affects nobody else. It reports
// whether any part of the submission may have been sent.
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

// cancelableLocked reports whether to cancel an accepted job for which nobody waits any more: the
// job server must know the command, and the job must belong to that caller alone.
func (x *conn) cancelableLocked(t *ticket) bool {
	return t.call == nil && t.handle != "" && t.alone && !t.background && x.err == nil && x.jobs[t.handle] != nil &&
		x.version.Dialect.Cancels() && !x.noCancel && proto.CheckCommand("cancel job "+t.handle) == nil
}

// cancel cancels a job. It doesn't block: if the queue is full, the job isn't canceled.
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

// reason is why the connection has ended: what the watchdog found if it closed the connection,
// otherwise the reader's error.
func (x *conn) reason(read error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.err == nil {
		x.err = read
	}
	return x.err
}

// fail reports to all that wait that the connection has ended.
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
	x.settle()
	for _, w := range jobs {
		for _, t := range w.tickets {
			tell(t, lost)
		}
	}
}

// idle reports whether nothing is outstanding.
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

// giveUp closes a connection that its caller no longer needs.
func (x *conn) giveUp() {
	x.mu.Lock()
	x.givenUp = true
	x.mu.Unlock()
	_ = x.nc.Close() // this ends the reader
}

func (x *conn) isGivenUp() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.givenUp
}

// cause is why the connection ended: a failed write is more specific than the read error that
// follows from it.
func (x *conn) cause(read error) error { return cmp.Or(x.out.failure(), read) }

// ring is a queue that reuses its memory.
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

// first returns the oldest request, or nil. It points into the ring's memory.
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
