package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// kind is the kind of an event.
type kind int

const (
	created kind = iota
	progress
	data
	warning
	exception
	completed
	failed
)

// event is something that happened to a call.
type event struct {
	call   *call
	kind   kind
	final  bool // for an exception: it ends the job
	n, d   uint64
	data   []byte
	text   string // the handle
	server string
	err    error
}

// mailbox carries events from the connections' goroutines to the goroutine that runs a call or a
// set. Posting never blocks.
type mailbox struct {
	wake chan struct{}

	// own are the connections that belong to this mailbox's calls. Only the goroutine that takes
	// the events uses it.
	own map[*server]*conn

	mu     sync.Mutex
	left   chan struct{} // closed when nobody reads the events of own any more; nil: own is empty
	events []event
	spare  []event
	first  [2]event      // memory for events: most calls have no more
	bytes  int           // of data in events
	room   chan struct{} // closed by the next take; nil: nobody waits for room
}

// heldParts is how many bytes of result parts may wait for a caller before its connection is no
// longer read.
const heldParts = 1 << 20

func (m *mailbox) init() { m.wake, m.events = make(chan struct{}, 1), m.first[:0] }

// take returns the events posted since the last take. They are valid until the next take.
func (m *mailbox) take() []event {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.spare) // the events of the last take are no longer used
	if len(m.events) == 0 {
		return nil
	}
	out := m.events
	m.events, m.spare, m.bytes = m.spare[:0], out, 0
	for i := range out {
		out[i].call.unread = 0
	}
	if m.room != nil {
		close(m.room)
		m.room = nil
	}
	return out
}

// full returns a channel that the next take closes, or nil if there is room; and left.
func (m *mailbox) full() (room, left <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bytes < heldParts {
		return nil, nil
	}
	if m.room == nil {
		m.room = make(chan struct{})
	}
	return m.room, m.left
}

// keepOwn enters a connection into own.
func (m *mailbox) keepOwn(s *server, x *conn) {
	if m.own == nil {
		m.own = make(map[*server]*conn)
		m.mu.Lock()
		m.left = make(chan struct{})
		m.mu.Unlock()
	}
	m.own[s] = x
}

// call is a task that is under way.
type call struct {
	task     *Task
	function string
	box      *mailbox
	deadline time.Time // the task's own; zero: none

	unread int // bytes of its events in box, whose mutex guards it

	// Used only by the goroutine that owns box.
	conn   *conn // the connection that carries it
	ticket *ticket
	number int    // index in its set
	chunk  *chunk // holds a large payload
	result Result
	done   func(*Result) // of Options.Middleware, or nil
	boom   []byte        // the worker's exception, or nil; on Perl's server an exception doesn't end the job
	ended  bool
	left   bool

	resubmits int   // how often it may still be resubmitted
	before    error // error of the previous submission
	lost      bool  // it has ended and must be resubmitted
}

// newCall returns a call with a new mailbox.
func newCall(t *Task) *call {
	var one struct { // in one allocation
		k   call
		box mailbox
	}
	one.box.init()
	one.k = call{task: t, function: t.Function, box: &one.box, result: Result{Task: t}}
	return &one.k
}

// eventSize is about the memory in bytes that an event takes beside its data.
const eventSize = 128

// post returns how many bytes of the call's events its caller hasn't taken yet.
func (k *call) post(ev event) (unread int) {
	ev.call = k
	m := k.box
	m.mu.Lock()
	m.events = append(m.events, ev)
	m.bytes += len(ev.data)
	k.unread += len(ev.data) + eventSize
	unread = k.unread
	m.mu.Unlock()
	if ev.kind == created && !k.task.Background && k.task.OnCreated == nil {
		return unread // it can wait for the next event
	}
	select {
	case m.wake <- struct{}{}:
	default:
	}
	return unread
}

// submitTo stages a task at the best job server that accepts it. The caller then flushes the
// connection.
func (c *Client) submitTo(ctx context.Context, k *call) error {
	t := k.task
	if err := c.check(t); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("submit %s: %w: %w", t.Function, errNotSent, context.Cause(ctx))
	}
	r := c.routeOf(t, k.box)
	x, start := c.connected(t.Key, r)
	if x != nil && k.submitOver(ctx, x) == nil {
		return nil
	}
	err := c.choose(ctx, t.Key, r, start, func(x *conn) (bool, error) {
		err := k.submitOver(ctx, x)
		return err == nil || ctx.Err() != nil, err
	})
	if err != nil {
		return fmt.Errorf("submit %s: %w", t.Function, err)
	}
	return nil
}

// submitOver stages a call's task at a connection. After an error certainly nothing was sent, so
// another job server may have the job.
func (k *call) submitOver(ctx context.Context, x *conn) error {
	t := k.task
	ticket := &ticket{call: k, background: t.Background, alone: t.Key == ""}
	chunk, err := x.c.stageTask(ctx, x, request{ticket: ticket, from: k.source(x)}, t)
	if err == nil {
		k.conn, k.ticket, k.chunk = x, ticket, chunk
	}
	return err
}

// source returns the reader of the payload, or nil if the payload is in memory.
func (k *call) source(x *conn) *source {
	t := k.task
	if t.PayloadFrom == nil {
		return nil
	}
	return &source{r: t.PayloadFrom, left: t.PayloadSize, fail: func(err error) {
		k.post(event{kind: failed, err: fmt.Errorf("read the payload: %w: %w", errNotSent, err)})
		x.giveUp() // half a packet was sent, and the connection is the caller's own
	}}
}

// stageTask puts the packet that submits t into a connection's queue.
func (c *Client) stageTask(ctx context.Context, x *conn, r request, t *Task) (*chunk, error) {
	typ := t.packetType()
	if t.PayloadFrom != nil {
		return x.stage(ctx, r, func(dst []byte) []byte {
			mark := len(dst)
			dst = c.appendTask(dst, typ, t, nil)
			return proto.GrowSize(dst, mark, int(t.PayloadSize))
		}, nil)
	}
	if len(t.Payload) > copyLimit {
		return x.stage(ctx, r, func(dst []byte) []byte {
			mark := len(dst)
			dst = c.appendTask(dst, typ, t, nil)
			return proto.GrowSize(dst, mark, len(t.Payload))
		}, t.Payload)
	}
	return x.stage(ctx, r, func(dst []byte) []byte { return c.appendTask(dst, typ, t, t.Payload) }, nil)
}

func (c *Client) appendTask(dst []byte, typ proto.Type, t *Task, payload []byte) []byte {
	name := t.Function
	if c.o.Prefix != "" {
		name = c.o.Prefix + name
	}
	unique := string(t.Key)
	if unique == "" && t.Background && !t.NoKey {
		unique = c.keys.next()
	}
	if typ == proto.TypeSubmitJobEpoch {
		return proto.AppendSubmitEpoch(dst, name, unique, t.At, payload)
	}
	return proto.AppendSubmit(dst, typ, name, unique, payload)
}

// keyMaker makes unique keys that no other client makes.
type keyMaker struct {
	prefix string // random
	n      atomic.Uint64
}

func (k *keyMaker) next() string {
	var buf [64]byte
	return string(strconv.AppendUint(append(append(buf[:0], k.prefix...), '-'), k.n.Add(1), 36))
}

// runOne runs a single task.
func (c *Client) runOne(ctx context.Context, given *Task) Result {
	k := newCall(given)
	if err := c.gate.enter(); err != nil {
		k.end(fmt.Errorf("submit %s: %w", given.Function, err))
		k.forget()
		return k.result
	}
	defer c.gate.leave()
	if err := k.begin(ctx, c.o.Middleware); err != nil {
		k.end(err)
		k.forget()
		return k.result
	}
	c.prepareResubmit(k)
	t := k.task
	if t.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, t.Timeout, errTaskTime(t))
		defer cancel()
	}
	c.runCall(ctx, k)
	for k.lost {
		k = c.resubmit(ctx, k)
	}
	return k.result
}

// runCall submits a call once, and returns when the call has ended.
func (c *Client) runCall(ctx context.Context, k *call) {
	defer c.release(k.box)
	defer k.forget()
	if err := c.submitTo(ctx, k); err != nil {
		k.end(err)
		return
	}
	k.conn.send() // if it fails, the end of the connection ends the call
	for {
		for _, ev := range k.box.take() {
			k.handle(ev)
		}
		if k.ended {
			return
		}
		if ctx.Err() != nil {
			k.abandon(context.Cause(ctx))
			return
		}
		select {
		case <-k.box.wake:
		case <-ctx.Done(): // events that came before the end of ctx count
		}
	}
}

func errTaskTime(t *Task) error {
	return fmt.Errorf("no result within %v: %w", t.Timeout, context.DeadlineExceeded)
}

// abandon ends a call that has run out of time, and makes its connection forget it.
func (k *call) abandon(cause error) {
	sent := k.leave()
	switch {
	case k.result.ID.Handle != "":
		k.end(fmt.Errorf("job %s of function %s: wait for its result: %w", k.result.ID, k.task.Function, cause))
	case sent:
		k.end(
			fmt.Errorf(
				"submit %s: wait for job server %s to accept the job: %w: %w", k.task.Function, k.conn.s.ep,
				ErrUncertain, cause,
			),
		)
	default:
		k.end(
			fmt.Errorf(
				"submit %s: wait for job server %s to accept the data sent before: %w: %w",
				k.task.Function, k.conn.s.ep, errNotSent, cause,
			),
		)
	}
}

// forget ends the use of the task. However the call has ended, its payload may still be in the
// connection's queue; afterwards it is the caller's again.
func (k *call) forget() {
	k.leave()
	if c, ok := k.task.PayloadFrom.(io.Closer); ok {
		_ = c.Close() // this also ends a Read that is still blocked
	}
}

// leave makes the connection forget the call, once. It reports whether any part of the submission
// may have been sent.
func (k *call) leave() (sent bool) {
	if k.conn == nil || k.left {
		return true
	}
	k.left = true
	return k.conn.leave(k.ticket, k.chunk)
}

// handle processes an event, and calls the task's callbacks.
func (k *call) handle(ev event) {
	if k.ended {
		return
	}
	t := k.task
	switch ev.kind {
	case created:
		k.result.ID = gearman.JobID{Server: ev.server, Handle: ev.text}
		if t.OnCreated != nil {
			t.OnCreated(k.result.ID)
		}
		if t.Background {
			k.end(nil)
		}
	case progress:
		if t.OnStatus != nil {
			t.OnStatus(ev.n, ev.d)
		}
	case data:
		k.part(ev.data)
	case warning:
		if t.OnWarning != nil {
			t.OnWarning(ev.data)
		}
	case exception:
		if k.boom = ev.data; k.boom == nil {
			k.boom = []byte{}
		}
		if t.OnException != nil {
			t.OnException(ev.data)
		}
		if ev.final {
			k.end(k.wrap(k.failure()))
		}
	case completed:
		if t.ResultTo != nil {
			if k.part(ev.data); k.ended {
				return
			}
			ev.data = nil
		}
		if k.result.Data == nil {
			k.result.Data = ev.data
		} else {
			k.result.Data = append(k.result.Data, ev.data...)
		}
		if t.OnComplete != nil {
			t.OnComplete(k.result.Data)
		}
		k.end(nil)
	case failed:
		err := ev.err
		if errors.Is(err, ErrFailed) {
			err = k.failure()
		}
		k.end(k.wrap(err))
	}
}

// part processes a part of the result.
func (k *call) part(data []byte) {
	if k.task.OnData != nil {
		k.task.OnData(data)
		return
	}
	if w := k.task.ResultTo; w != nil {
		if _, err := w.Write(data); err != nil {
			k.leave()
			k.end(k.wrap(fmt.Errorf("write the result: %w", err)))
		}
		return
	}
	limit := k.conn.c.o.MaxResult
	if len(k.result.Data)+len(data) > limit {
		k.leave()
		k.end(
			k.wrap(
				fmt.Errorf(
					"the parts of the result are over the limit of %d bytes (Options.MaxResult): %w", limit,
					proto.ErrTooLarge,
				),
			),
		)
		return
	}
	k.result.Data = append(k.result.Data, data...)
}

// failure is the job's failure as the worker reported it.
func (k *call) failure() *gearman.JobError {
	e := &gearman.JobError{Reason: gearman.ReasonFailed, Exception: k.boom, ID: k.result.ID, Function: k.task.Function}
	if k.boom != nil {
		e.Reason = gearman.ReasonException
	}
	return e
}

// wrap names the job in an error about it.
func (k *call) wrap(err error) error {
	if k.result.ID.Handle == "" {
		return fmt.Errorf("submit %s: %w", k.task.Function, err)
	}
	return fmt.Errorf("job %s of function %s: %w", k.result.ID, k.task.Function, err)
}

func (k *call) end(err error) {
	if k.ended {
		return
	}
	k.ended = true
	if err != nil {
		k.result.Err, k.result.Data = err, nil
	}
	if k.lost = k.mayResubmit(err); !k.lost {
		k.tell()
	}
}

// tell reports how the job ended.
func (k *call) tell() {
	if err := k.result.Err; err != nil && k.before != nil && !errors.Is(err, ErrFailed) {
		k.result.Err = fmt.Errorf("%w (submitted again after: %w)", err, k.before)
	}
	if k.done != nil {
		k.done(&k.result)
	}
	if err := k.result.Err; err != nil && k.task.OnFail != nil {
		k.task.OnFail(err)
	}
}
