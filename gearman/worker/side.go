package worker

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// confirmWithin is how long a job server may take to confirm a request of the worker's own.
const confirmWithin = 5 * time.Second

// side is a connection to a job server for the worker's own requests, separate from the connections
// that deliver jobs. It is opened when first needed, and again after an error.
type side struct {
	w  *Worker
	ep gearman.Endpoint

	turn chan struct{} // one request at a time; waiting for it can be canceled
	in   *proto.Conn   // belongs to the goroutine that has the turn
}

func newSide(w *Worker, ep gearman.Endpoint) *side {
	return &side{w: w, ep: ep, turn: make(chan struct{}, 1)}
}

// exchange sends a request, followed by a payload if there is one, and calls read to read the
// response.
func (s *side) exchange(ctx context.Context, request []byte, payload io.Reader, read func(*proto.Conn) error) error {
	ctx, cancel := context.WithTimeoutCause(
		ctx, confirmWithin, fmt.Errorf("job server %s: no answer within %v", s.ep, confirmWithin),
	)
	defer cancel()
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if s.in == nil {
		nc, err := s.w.dialer.Connect(ctx, s.ep)
		if err != nil {
			return err
		}
		s.in = proto.NewConn(nc, proto.Limits{})
	}
	err := s.in.Exchange(ctx, request, func(c *proto.Conn) error {
		if payload != nil {
			if _, err := io.Copy(c, payload); err != nil {
				return err
			}
		}
		return read(c)
	})
	if _, refused := as[*proto.ServerError](err); err != nil && !refused {
		s.drop()
		return fmt.Errorf("job server %s: %w", s.ep, err)
	}
	return err
}

func (s *side) close() {
	s.turn <- struct{}{}
	s.drop()
	<-s.turn
}

// drop closes the connection. The caller has the turn.
func (s *side) drop() {
	if s.in != nil {
		_ = s.in.Close() // the connection is no longer needed
		s.in = nil
	}
}

// submission is a background job that the worker submits.
type submission struct {
	function string
	key      string
	at       time.Time // zero: at once
	front    []byte    // data before the payload
	payload  *io.SectionReader
}

// submit submits a job and waits until the job server has confirmed it.
func (s *side) submit(ctx context.Context, sub *submission) error {
	var b []byte
	if sub.at.IsZero() {
		b = proto.AppendSubmit(nil, proto.TypeSubmitJobBG, sub.function, sub.key, sub.front)
	} else {
		b = proto.AppendSubmitEpoch(nil, sub.function, sub.key, sub.at, sub.front)
	}
	b = proto.GrowSize(b, 0, int(sub.payload.Size()))
	if _, err := sub.payload.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return s.exchange(ctx, b, sub.payload, func(c *proto.Conn) error {
		_, err := answerOf(c, proto.TypeJobCreated)
		return err
	})
}

// answerOf reads the response to a request: a packet of the type, or the job server's error.
func answerOf(c *proto.Conn, want proto.Type) (proto.Packet, error) {
	p, err := c.Next()
	if err != nil {
		return p, err
	}
	switch p.Type {
	case want:
		return p, nil
	case proto.TypeError:
		se, err := p.ServerError()
		if err != nil {
			return p, err
		}
		return p, se
	}
	return p, fmt.Errorf("%s in place of %s: %w", p, want, proto.ErrType)
}

// clients requests how many clients wait for the job with a key.
func (s *side) clients(ctx context.Context, key string) (n uint64, known bool, err error) {
	err = s.exchange(ctx, proto.AppendGetStatusUnique(nil, key), nil, func(c *proto.Conn) error {
		p, err := answerOf(c, proto.TypeStatusResUnique)
		if err != nil {
			return err
		}
		st, err := p.Status()
		n, known = st.Clients, st.Known
		return err
	})
	return n, known, err
}

// side returns the side connection to a job server.
func (w *Worker) side(ep gearman.Endpoint) *side {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.sides[ep]
	if s == nil {
		s = newSide(w, ep)
		w.sides[ep] = s
	}
	return s
}

// otherServers returns the job servers other than ep at which the worker is registered.
func (w *Worker) otherServers(ep gearman.Endpoint) (eps []gearman.Endpoint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for other, s := range w.servers {
		if other != ep && s.registered > 0 && s.version.Dialect.Delays() {
			eps = append(eps, other)
		}
	}
	return eps
}

func (w *Worker) closeSides() {
	w.mu.Lock()
	sides := make([]*side, 0, len(w.sides))
	for _, s := range w.sides {
		sides = append(sides, s)
	}
	w.mu.Unlock()
	for _, s := range sides {
		s.close()
	}
}
