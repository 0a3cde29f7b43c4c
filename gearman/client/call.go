package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/internal/transport"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// kind of an event.
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
	final  bool // of an exception: it ends the job
	n, d   uint64
	data   []byte
	text   string // the handle
	server string
	err    error
}

// mailbox carries events from connections' goroutines to the one that runs a call or a set. Posting never waits.
type mailbox struct {
	mu     sync.Mutex
	events []event
	spare  []event
	wake   chan struct{}
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

// take gives what was posted since, to be used before the next take.
func (m *mailbox) take() []event {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := m.events
	m.events, m.spare = m.spare[:0], out
	return out
}

// call is a task on its way.
type call struct {
	task     *Task
	box      *mailbox
	deadline time.Time // of the task itself; zero: none

	// Of the goroutine that owns box.
	result Result
	boom   *ExceptionError // a worker's exception on a server where that ends nothing
	ended  bool
}

func (k *call) post(ev event) {
	ev.call = k
	m := k.box
	m.mu.Lock()
	m.events = append(m.events, ev)
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// submitTo stages a task at the best server that takes it. The connection is to be flushed.
func (c *Client) submitTo(ctx context.Context, k *call) (*conn, error) {
	t := k.task
	if err := c.check(t); err != nil {
		return nil, err
	}
	var sent *conn
	err := c.choose(ctx, t.Unique, func(x *conn) (bool, error) {
		err := c.stageTask(x, request{call: k}, t)
		if err != nil {
			return false, err // not sent, for certain: the next server may have it
		}
		sent = x
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("submit %s: %w", t.Function, err)
	}
	return sent, nil
}

// stageTask puts the packet that submits t into a connection's outbox.
func (c *Client) stageTask(x *conn, r request, t *Task) error {
	typ := t.packetType()
	if len(t.Payload) > transport.CopyLimit {
		return x.stageLarge(r, func(dst []byte) []byte {
			mark := len(dst)
			dst = c.appendTask(dst, typ, t, nil)
			return proto.GrowSize(dst, mark, len(t.Payload))
		}, t.Payload)
	}
	return x.stage(r, func(dst []byte) []byte { return c.appendTask(dst, typ, t, t.Payload) })
}

func (c *Client) appendTask(dst []byte, typ proto.Type, t *Task, payload []byte) []byte {
	name := t.Function
	if c.o.Prefix != "" {
		name = c.o.Prefix + name
	}
	unique := t.Unique
	if unique == "" && t.Background && !t.NoUnique {
		unique = c.keys.next()
	}
	if typ == proto.TypeSubmitJobEpoch {
		return proto.AppendSubmitEpoch(dst, name, unique, t.At, payload)
	}
	return proto.AppendSubmit(dst, typ, name, unique, payload)
}

// keyMaker makes unique keys that nobody else makes.
type keyMaker struct {
	prefix string // random
	n      atomic.Uint64
}

func (k *keyMaker) next() string {
	var buf [64]byte
	return string(strconv.AppendUint(append(append(buf[:0], k.prefix...), '-'), k.n.Add(1), 36))
}

// runOne runs a single task.
func (c *Client) runOne(ctx context.Context, t *Task) Result {
	k := &call{task: t, box: newMailbox(), result: Result{Task: t}}
	if t.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, t.Timeout, errTaskTime(t))
		defer cancel()
	}
	x, err := c.submitTo(ctx, k)
	if err != nil {
		k.end(err)
		return k.result
	}
	_ = x.out.Flush() // the call is told of a failure, by the connection's end
	for {
		for _, ev := range k.box.take() {
			k.handle(ev)
		}
		if k.ended {
			return k.result
		}
		select {
		case <-k.box.wake:
		case <-ctx.Done():
			k.end(k.interrupted(context.Cause(ctx)))
			return k.result
		}
	}
}

func errTaskTime(t *Task) error {
	return fmt.Errorf("no result within %v: %w", t.Timeout, context.DeadlineExceeded)
}

// interrupted says what a call waited for when its time was up.
func (k *call) interrupted(cause error) error {
	if k.result.ID.Handle == "" {
		return fmt.Errorf("submit %s: wait for a job server to accept the job: %w: %w", k.task.Function, ErrUncertain, cause)
	}
	return fmt.Errorf("job %s of function %s: wait for its result: %w", k.result.ID, k.task.Function, cause)
}

// handle takes an event, and calls the task's callbacks.
func (k *call) handle(ev event) {
	if k.ended {
		return
	}
	t := k.task
	switch ev.kind {
	case created:
		k.result.ID = JobID{Server: ev.server, Handle: ev.text}
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
		if t.OnData != nil {
			t.OnData(ev.data)
		} else {
			k.result.Data = append(k.result.Data, ev.data...)
		}
	case warning:
		if t.OnWarning != nil {
			t.OnWarning(ev.data)
		}
	case exception:
		k.boom = &ExceptionError{Data: ev.data}
		if t.OnException != nil {
			t.OnException(ev.data)
		}
		if ev.final {
			k.end(k.wrap(k.boom))
		}
	case completed:
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
		if k.boom != nil && errors.Is(err, ErrFailed) {
			err = k.boom
		}
		k.end(k.wrap(err))
	}
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
		if k.task.OnFail != nil {
			k.task.OnFail(err)
		}
	}
}
