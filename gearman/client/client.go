package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// Client submits jobs. Create it with New, and end it with Shutdown or Close.
type Client struct {
	o       Options
	dialer  gearman.Dialer
	backoff gearman.Backoff

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // the connections' goroutines

	turn     atomic.Uint64 // for RoundRobin
	keys     keyMaker
	producer producer
	large    functionSet // the functions that have had large results
	hooks    hookQueue
	gate     gate

	mu      sync.Mutex
	closed  bool
	servers map[gearman.Endpoint]*server
	names   []*name
	changed chan struct{} // closed and replaced when a lookup has ended
	settled atomic.Bool   // the first calls have waited for slow names
	snap    atomic.Pointer[snapshot]
}

// New returns a client. It connects when there is something to send.
func New(o Options) (*Client, error) {
	if len(o.Servers) == 0 {
		return nil, fmt.Errorf("%w: Servers is empty, at least one job server is needed", ErrOptions)
	}
	var names []*name
	for _, s := range o.Servers {
		a, err := gearman.ParseAddress(s)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrOptions, err)
		}
		names = append(names, newName(a))
	}
	if o.Select < RoundRobin || o.Select > InOrder {
		return nil, fmt.Errorf("%w: Select is %d", ErrOptions, o.Select)
	}
	for _, d := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{
		{&o.ResolveInterval, 30 * time.Second},
		{&o.ConnectTimeout, time.Second},
		{&o.ReplyTimeout, 30 * time.Second},
		{&o.WriteTimeout, 30 * time.Second},
		{&o.KeepAlive, time.Minute},
		{&o.QuarantineMin, time.Second},
		{&o.QuarantineMax, 30 * time.Second},
	} {
		if *d.value <= 0 {
			*d.value = d.fallback
		}
	}
	if o.MaxResult < 0 {
		return nil, fmt.Errorf(
			"%w: MaxResult is %d, want a number of bytes or 0 for the default", ErrOptions, o.MaxResult,
		)
	}
	if o.MaxPending <= 0 {
		o.MaxPending = 1000
	}
	if o.MaxResult == 0 {
		o.MaxResult = 256 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Client{
		o:       o,
		names:   names,
		dialer:  gearman.Dialer{Dial: o.Dialer, TLS: o.TLS, Timeout: o.ConnectTimeout},
		backoff: gearman.Backoff{Min: o.QuarantineMin, Max: o.QuarantineMax},
		servers: make(map[gearman.Endpoint]*server),
		keys:    keyMaker{prefix: rand.Text()},
		changed: make(chan struct{}),
		gate:    gate{empty: make(chan struct{}, 1)},
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// Close ends all connections and waits for their goroutines. Calls that are still waiting end with
// ErrClosed. Closing twice is fine. Close doesn't wait for hooks, so that hooks can call it: the
// hooks of the last connections may still run after it has returned.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.wg.Wait()
	return nil
}

// Do runs a job in the foreground and returns its result. If the worker failed the job, the error
// is a *[gearman.JobError] (which is ErrFailed). Otherwise the error names the job server and the
// step that went wrong. A request that the job server refused is a [proto.ServerError].
func (c *Client) Do(ctx context.Context, t *Task) ([]byte, error) {
	if t.Background || !t.At.IsZero() {
		return nil, fmt.Errorf("%w: a background job has no result: use Background", ErrTask)
	}
	r := c.runOne(ctx, t)
	return r.Data, r.Err
}

// Background queues a job and returns when a job server has accepted it. Task.Background needn't be
// set.
func (c *Client) Background(ctx context.Context, t *Task) (gearman.JobID, error) {
	if !t.Background {
		own := *t
		own.Background = true
		t = &own
	}
	r := c.runOne(ctx, t)
	return r.ID, r.Err
}

func (c *Client) check(t *Task) error {
	if err := proto.CheckFunction(c.o.Prefix + t.Function); err != nil {
		return err
	}
	if err := proto.CheckUnique(string(t.Key)); err != nil {
		return err
	}
	if err := errors.Join(t.checkStreams(), t.checkResubmit()); err != nil {
		return err
	}
	switch {
	case int64(len(t.Payload)) > maxPayload:
		return fmt.Errorf("%w: a packet can't carry a payload of %d bytes", ErrTask, len(t.Payload))
	case t.Priority < gearman.Normal || t.Priority > gearman.Low:
		return fmt.Errorf("%w: priority %d", ErrTask, t.Priority)
	case !t.At.IsZero() && !t.Background:
		return fmt.Errorf("%w: only background jobs can be delayed", ErrTask)
	case !t.At.IsZero() && t.Priority != gearman.Normal:
		return fmt.Errorf("%w: delayed jobs have the normal priority", ErrTask)
	}
	return nil
}

// Status requests a job's status from its job server.
func (c *Client) Status(ctx context.Context, id gearman.JobID) (JobStatus, error) {
	if err := proto.CheckHandle(id.Handle); err != nil { // the job server would never respond to it
		return JobStatus{}, err
	}
	s, err := c.serverOf(ctx, id.Server)
	if err != nil {
		return JobStatus{}, err
	}
	return c.status(ctx, s, func(dst []byte) []byte { return proto.AppendGetStatus(dst, id.Handle) })
}

// StatusByKey requests the status of the job with a unique key, from one job server after the other
// until one knows the job. With ByKey it starts with the job server that the key selects; a job can
// be on another one if that job server was down. A job server that can't be reached is an error
// only if no other knows the job. Perl's server doesn't support this request.
func (c *Client) StatusByKey(ctx context.Context, key gearman.Key) (JobStatus, error) {
	if err := proto.CheckUnique(string(key)); err != nil {
		return JobStatus{}, err
	}
	servers, err := c.resolved(ctx)
	if err != nil {
		return JobStatus{}, err
	}
	if c.o.Select == ByKey {
		servers = rank(servers, key)
	}
	var errs []error
	for _, s := range servers {
		st, err := c.status(ctx, s, func(dst []byte) []byte { return proto.AppendGetStatusUnique(dst, string(key)) })
		if err == nil && st.Known {
			return st, nil
		}
		errs = append(errs, err)
	}
	return JobStatus{}, errors.Join(errs...)
}

func (c *Client) status(ctx context.Context, s *server, encode func([]byte) []byte) (JobStatus, error) {
	p, err := c.ask(ctx, s, "ask for a job's status", encode)
	if err != nil {
		return JobStatus{}, err
	}
	st, err := p.Status()
	if err != nil {
		return JobStatus{}, fmt.Errorf("ask job server %s for a job's status: %w", s.ep, err)
	}
	return JobStatus{
		Known: st.Known, Running: st.Running, Numerator: st.Numerator, Denominator: st.Denominator, Clients: st.Clients,
	}, nil
}

// Echo sends data to every job server and waits for its echo. The error names the job servers that
// failed.
func (c *Client) Echo(ctx context.Context, data []byte) error {
	servers, err := c.resolved(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range servers {
		p, err := c.ask(ctx, s, "echo", func(dst []byte) []byte { return proto.AppendEcho(dst, proto.Request, data) })
		if err == nil && (p.Type != proto.TypeEchoRes || !bytes.Equal(p.Data, data)) {
			err = fmt.Errorf("echo at job server %s: unexpected response %s", s.ep, p)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// ask sends a request whose response is one packet.
func (c *Client) ask(ctx context.Context, s *server, step string, encode func([]byte) []byte) (proto.Packet, error) {
	return c.askText(ctx, s, step, noText, encode)
}

// askText is ask for a request whose response may be a line of text, returned as a packet without a
// type.
func (c *Client) askText(
	ctx context.Context, s *server, step string, text textKind, encode func([]byte) []byte,
) (proto.Packet, error) {
	conn, err := c.connect(ctx, s, calls)
	if err != nil {
		return proto.Packet{}, err
	}
	answer := make(chan reply, 1)
	if _, err := conn.stage(ctx, request{reply: answer, text: text}, encode, nil); err != nil {
		return proto.Packet{}, fmt.Errorf("%s: %w", step, err)
	}
	conn.send()
	select {
	case r := <-answer:
		if r.err != nil {
			return proto.Packet{}, fmt.Errorf("%s: %w", step, r.err)
		}
		return r.packet, nil
	case <-ctx.Done():
		return proto.Packet{}, fmt.Errorf("%s: job server %s: wait for the answer: %w", step, s.ep, context.Cause(ctx))
	}
}
