package worker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/internal/transport"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// conn connects a slot to one job server. When its connection is lost, it opens another one. run is
// its goroutine.
type conn struct {
	w      *Worker
	slot   *slot
	server *server
	link   *link // the connection that is registered now, or nil; slot.mu guards it
}

// state is the state of a link from the slot's point of view.
type state int

const (
	awake    state = iota // may have a job: poll it
	grabbing              // was polled, hasn't responded
	asleep                // had no job, and knows that we sleep
	working               // sent the job that the slot runs
	parked                // unregistered by a stop, nothing in flight
	broken                // can't be written to any more
	resting               // has no function registered
)

// link is one registered connection. One goroutine reads from it at a time (see loop).
type link struct {
	c       *conn
	nc      net.Conn
	in      *proto.Conn
	read    atomic.Int64 // bytes, to detect progress
	out     *transport.Outbox
	version proto.Version
	down    chan struct{} // closed when the connection has ended
	err     error         // why, once down is closed
	echoed  chan struct{} // receives a value for the response to byeEcho

	held   func([]byte) []byte // encodes the request that the reading goroutine sends when it reads on, or nil
	role   atomic.Int32        // role of the reading goroutine: see the constants
	baton  chan struct{}       // a token makes the waiting goroutine the reader
	spares atomic.Int32        // goroutines that wait for baton, or will
	orphan atomic.Bool         // the goroutine that ends needs no replacement

	// Guarded by slot.mu.
	state      state
	plainGrab  bool // GRAB_JOB, for servers that don't know GRAB_JOB_UNIQ
	proven     bool // GRAB_JOB_UNIQ has got a response
	notBefore  time.Time
	regrabAt   time.Time
	sleptAt    time.Time
	quick      int           // wake-ups straight after PRE_SLEEP since the last job
	onPurpose  error         // why the worker closed it, if it did
	working    *function     // the function of the job in flight
	registered []*function   // functions registered on the connection
	admission  uint64        // the admission they belong to
	alive      time.Duration // when aliveEcho was last sent: a time of Worker.clock
	trimmed    bool          // the other functions were unregistered
	cancelJob  context.CancelCauseFunc
	sayBye     bool // closed by a stop: not an error
	success    bool // a job completed over it

	turnedAt time.Time // when the order of functions last changed

	// Guarded by server.sleepers.mu.
	idle  atomic.Int32 // notIdle, sleeping or dozing; only the link itself becomes idle
	dozer int          // its index in dozing
}

// Reasons why the worker itself closes a connection.
var (
	errRequeue = errors.New("closed to requeue a job")
	errHung    = errors.New("no answer to the request for a job")
)

// run keeps the connection open until the worker stops or the job server is gone.
func (c *conn) run() {
	ctx := c.w.conns
	log := c.w.o.Logger.With("server", c.server.ep.String(), "slot", c.slot.id)
	failures := 0
	for {
		opened := time.Now()
		l, err := c.open(ctx)
		if err == nil {
			log.Debug("Registered at job server", "version", l.version.Text)
			err = c.serve(l)
			// The back-off starts over after half a minute or a job that completed.
			if c.slot.succeeded(l) || time.Since(opened) > 30*time.Second {
				failures = 0
			}
		}
		if c.w.leaving(c) || ctx.Err() != nil {
			return
		}
		failures++
		delay := c.w.backoff.Delay(failures)
		c.w.retrying(c.server, err)
		if errors.Is(err, errRequeue) {
			log.Info("Dropped the connection to requeue a job", "retryIn", delay)
		} else {
			log.Warn("Job server connection is down", "error", err, "failures", failures, "retryIn", delay)
		}
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
		case <-c.w.soft:
		}
		timer.Stop()
		if c.w.leaving(c) || ctx.Err() != nil {
			return
		}
	}
}

// open connects, registers and waits for the job server's response, so that the slot never polls a
// job server that hangs.
func (c *conn) open(ctx context.Context) (*link, error) {
	nc, err := c.w.dialer.Connect(ctx, c.server.ep)
	if err != nil {
		return nil, err
	}
	l := &link{
		c: c, nc: nc, out: transport.NewOutbox(c.server.ep.String(), nc, c.w.o.WriteTimeout),
		down: make(chan struct{}), echoed: make(chan struct{}, 1), baton: make(chan struct{}, 1),
	}
	l.in = proto.NewConn(&source{Conn: nc, l: l}, proto.Limits{})
	ctx, cancel := context.WithTimeoutCause(
		ctx, c.w.o.ConnectTimeout, fmt.Errorf("no answer within %v", c.w.o.ConnectTimeout),
	)
	defer cancel()
	l.registered, l.admission = c.w.registrationOf(c.slot.id)
	if err := l.in.Exchange(ctx, c.registration(l.registered), l.readRegistration); err != nil {
		_ = nc.Close() // err has the cause
		return nil, fmt.Errorf("register at job server %s: %w", c.server.ep, err)
	}
	if err := nc.SetDeadline(time.Time{}); err != nil {
		_ = nc.Close() // err has the cause
		return nil, fmt.Errorf("register at job server %s: %w", c.server.ep, err)
	}
	return l, nil
}

const registeredEcho = "registered"

// registration requests the version first, since job servers handle the other packets differently.
func (c *conn) registration(fns []*function) []byte {
	b := []byte("version\n")
	if c.w.o.ClientID != nil {
		if id := c.w.o.ClientID(c.slot.id); proto.CheckClientID(id) == nil {
			b = proto.AppendSetClientID(b, id)
		} else {
			c.w.o.Logger.Error("Client id can't be set", "clientID", id, "error", proto.CheckClientID(id))
		}
	}
	return proto.AppendEcho(appendRegistration(b, fns), proto.Request, registeredEcho)
}

func (l *link) readRegistration(in *proto.Conn) error {
	for {
		text, err := in.IsText()
		if err != nil {
			return err
		}
		if text {
			line, err := in.ReadLine()
			if err != nil {
				return err
			}
			l.version = proto.ParseVersion(string(line))
			continue
		}
		p, err := in.Next()
		if err != nil {
			return err
		}
		switch p.Type {
		case proto.TypeEchoRes:
			l.plainGrab = !l.version.Dialect.GrabsUnique()
			return nil
		case proto.TypeError:
			se, err := p.ServerError()
			if err != nil {
				return err
			}
			return se
		case proto.TypeNoop:
		default:
			return fmt.Errorf("%s in response to a registration: %w", p, proto.ErrType)
		}
	}
}

// serve passes the link to the slot and waits until the link ends.
func (c *conn) serve(l *link) error {
	info := c.info(l)
	c.w.connected(c.server, l.version)
	defer c.w.disconnected(c.server)
	if f := c.w.o.Hooks.ConnUp; f != nil {
		f(info)
	}
	stop := context.AfterFunc(c.w.conns, func() { _ = l.nc.Close() }) // this ends the reader
	defer stop()
	c.slot.linkUp(c, l)
	c.w.connWG.Go(l.loop)
	<-l.down
	err := c.slot.linkDown(c, l, l.err)
	if c.w.conns.Err() != nil {
		err = nil
	}
	if f := c.w.o.Hooks.ConnDown; f != nil {
		f(info, err)
	}
	return err
}

func (c *conn) info(l *link) Conn {
	return Conn{Slot: c.slot.id, Server: c.server.ep.Addr, Host: c.server.ep.Name, Version: l.version}
}

func (l *link) readOne() error {
	h, err := l.in.ReadHeader()
	if err != nil {
		return err
	}
	switch h.Type {
	case proto.TypeNoop:
		l.c.slot.wakeUp(l)
		return nil
	case proto.TypeNoJob:
		return l.c.slot.noJob(l)
	case proto.TypeJobAssign, proto.TypeJobAssignUniq, proto.TypeJobAssignAll:
		job, err := l.readJob(h)
		if err != nil {
			return err
		}
		return l.c.slot.gotJob(l, job)
	case proto.TypeEchoRes:
		if b, err := l.in.Peek(len(byeEcho)); err != nil || string(b) != byeEcho {
			return err
		}
		select {
		case l.echoed <- struct{}{}:
		default:
		}
		return nil // reading the next header skips the data
	case proto.TypeError:
		b, err := l.in.Peek(4 << 10)
		if err != nil {
			return err
		}
		se, err := proto.Packet{Dir: h.Dir, Type: h.Type, Data: b}.ServerError()
		if err != nil {
			return err
		}
		if l.c.slot.grabRefused(l) {
			return nil
		}
		l.c.w.o.Logger.Warn("Job server refused a packet", "server", l.c.server.ep.String(), "error", se)
		return nil
	}
	return fmt.Errorf("%s %s sent to a worker: %w", h.Dir, h.Type, proto.ErrType)
}
