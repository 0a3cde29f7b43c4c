package worker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

const (
	moveEvery   = 5 * time.Second        // between two polls for due jobs
	moveAgain   = 500 * time.Millisecond // after a poll that found some
	mostPerLook = 100                    // so that many jobs of one function don't delay the others
)

// mover moves the due jobs of one job server from the function in which they wait to their own
// function. It has a connection of its own, and registers one function at a time, only while it
// polls: two functions with only delayed jobs on one connection can hang gearmand 2, and a worker
// that sleeps with a function that has only delayed jobs is woken for nothing.
type mover struct {
	w      *Worker
	server *server
	in     *proto.Conn
}

// moverFor starts the mover of a job server if any function needs one. The caller holds w.mu.
func (w *Worker) moverFor(s *server) {
	for _, f := range w.order {
		if f.retry != nil && f.retry.Backoff > 0 {
			m := &mover{w: w, server: s}
			w.connWG.Go(m.run)
			return
		}
	}
}

func (m *mover) run() {
	defer m.close()
	log := m.w.o.Logger.With("server", m.server.ep.String())
	wait := moveAgain
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-m.w.soft:
			return
		case <-m.w.conns.Done():
			return
		}
		if m.w.serverGone(m.server) {
			return
		}
		moved, err := m.look()
		wait = moveEvery*4/5 + rand.N(moveEvery*2/5) //nolint:gosec // spreads load, keeps no secret
		switch {
		case errors.Is(err, errNoRetries):
			return
		case err != nil:
			m.close()
			log.Warn("Jobs that wait for their next attempt could not be moved", "error", err, "retryIn", wait)
		case moved:
			wait = moveAgain
		}
		timer.Reset(wait)
	}
}

func (w *Worker) serverGone(s *server) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return s.gone
}

func (m *mover) close() {
	if m.in != nil {
		_ = m.in.Close() // this requeues a job in hand in the function in which it waits
		m.in = nil
	}
}

// errNoRetries means that the job server doesn't support delayed jobs.
var errNoRetries = errors.New("the job server has no delayed jobs")

// look moves the due jobs of each function.
func (m *mover) look() (moved bool, err error) {
	if m.in == nil {
		if err := m.connect(); err != nil {
			return false, err
		}
	}
	for _, f := range m.w.order {
		if f.retry == nil || f.retry.Backoff == 0 {
			continue
		}
		found, err := m.lookAt(f)
		if err != nil {
			return false, err
		}
		moved = moved || found
	}
	return moved, nil
}

func (m *mover) connect() error {
	ctx, cancel := context.WithTimeout(m.w.conns, confirmWithin)
	defer cancel()
	nc, err := m.w.dialer.Connect(ctx, m.server.ep)
	if err != nil {
		return err
	}
	m.in = proto.NewConn(nc, proto.Limits{})
	return m.in.Exchange(ctx, []byte("version\n"), func(c *proto.Conn) error {
		line, err := c.ReadLine()
		if err == nil && !proto.ParseVersion(string(line)).Dialect.Delays() {
			return errNoRetries
		}
		return err
	})
}

func (m *mover) lookAt(f *function) (moved bool, err error) {
	waiting := f.wire + RetrySuffix
	request := proto.AppendCanDo(nil, waiting)
	for n := range mostPerLook {
		job, err := m.grab(proto.AppendEmpty(request, proto.Request, proto.TypeGrabJobUniq))
		if err != nil {
			return false, err
		}
		if job == nil {
			break
		}
		request = request[:0]
		if err := m.move(f, job); err != nil {
			return false, err
		}
		moved = true
		if n == mostPerLook-1 {
			break
		}
	}
	return moved, m.send(proto.AppendCantDo(nil, waiting))
}

// waiter is a job that has waited for its next attempt.
type waiter struct {
	handle, unique string
	payload        []byte
}

func (m *mover) exchange(request []byte, read func(*proto.Conn) error) error {
	ctx, cancel := context.WithTimeout(m.w.conns, confirmWithin)
	defer cancel()
	return m.in.Exchange(ctx, request, read)
}

func (m *mover) send(request []byte) error {
	return m.exchange(request, func(*proto.Conn) error { return nil })
}

func (m *mover) grab(request []byte) (job *waiter, err error) {
	err = m.exchange(request, func(c *proto.Conn) error {
		p, err := c.Next()
		if err != nil || p.Type == proto.TypeNoJob {
			return err
		}
		if p.Type == proto.TypeError {
			se, err := p.ServerError()
			if err != nil {
				return err
			}
			return se
		}
		a, err := p.Assignment()
		if err != nil {
			return err
		}
		job = &waiter{handle: string(a.Handle), unique: string(a.Unique), payload: bytes.Clone(a.Payload)}
		return nil
	})
	return job, err
}

// move submits a job to its own function. Once that is confirmed, it completes the job in the
// function in which it waited. If the job server accepts no more jobs of the function now, move
// keeps the job and tries again: requeuing it would count as an attempt.
func (m *mover) move(f *function, job *waiter) error {
	sub := &submission{
		function: f.wire, key: job.unique,
		payload: io.NewSectionReader(bytes.NewReader(job.payload), 0, int64(len(job.payload))),
	}
	for {
		err := m.w.side(m.server.ep).submit(m.w.conns, sub)
		if err == nil {
			return m.send(proto.AppendWork(nil, proto.Request, proto.TypeWorkComplete, job.handle, ""))
		}
		if se, ok := as[*proto.ServerError](err); !ok || se.Code != proto.CodeQueueError {
			return err
		}
		timer := time.NewTimer(moveEvery)
		select {
		case <-timer.C:
		case <-m.w.soft:
			timer.Stop()
			return err
		}
	}
}
