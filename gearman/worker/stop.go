package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// Stop stops the worker softly: it takes no more jobs, and finishes the running ones. Stop returns
// nil when Run has returned, or context.Cause(ctx) if ctx ends first; the worker then goes on
// stopping. Call StopAndCancel after it for a stop in two stages. Stop may be called several times,
// and before Run, which then stops as soon as it has begun. Stop doesn't wait for a Run that was
// not called.
//
// A handler that stops its own worker passes its own context, or one derived from it: Stop then
// returns nil at once, since the worker can't end before the handler does. Hooks, which have no
// context, must call Stop in a goroutine.
func (w *Worker) Stop(ctx context.Context) error {
	w.beginStop()
	return w.waitEnded(ctx, "a soft stop")
}

// StopAndCancel stops the worker hard: handlers' contexts end with the cause ErrStopped, and the
// connections are dropped, so that the job servers give the jobs to other workers. Otherwise it is
// like Stop: it waits until Run and the handlers have returned, or until ctx ends.
func (w *Worker) StopAndCancel(ctx context.Context) error {
	w.beginStopAndCancel()
	return w.waitEnded(ctx, "a hard stop")
}

func (w *Worker) beginStop() {
	w.once.soft.Do(func() { w.stops.Store(true); close(w.soft) })
}

func (w *Worker) beginStopAndCancel() {
	w.once.hard.Do(func() { w.stops.Store(true); close(w.hard) })
}

// ownKey is the key of the worker in the contexts of its handlers.
type ownKey struct{}

func (w *Worker) waitEnded(ctx context.Context, what string) error {
	if !w.started.Load() || ctx.Value(ownKey{}) == w {
		return nil
	}
	select {
	case <-w.returned:
		return nil
	default:
	}
	select {
	case <-w.returned:
		return nil
	case <-ctx.Done():
		return fmt.Errorf(
			"wait for %s of the worker, %d jobs still run: %w", what, w.running(), context.Cause(ctx),
		)
	}
}

func appendReset(dst []byte) []byte {
	return proto.AppendEmpty(dst, proto.Request, proto.TypeResetAbilities)
}

// unregister tells the job servers that the slot takes no more jobs, without affecting a job in
// flight: CANT_DO or RESET_ABILITIES would requeue it at once, and it would run twice. A connection
// that was polled is skipped, since a job may be about to arrive. idle means that the caller is the
// slot's own goroutine and no response is outstanding any more.
func (s *slot) unregister(idle bool) {
	type order struct {
		l     *link
		keep  *function
		loose []*function // to unregister while keep's job runs
	}
	var orders []order
	s.mu.Lock()
	s.stopping = true
	for _, c := range s.conns {
		l := c.link
		if l == nil {
			continue
		}
		switch {
		case l.state == working && l.trimmed:
		case l.state == working:
			l.trimmed = true
			orders = append(orders, order{l, l.working, l.registered})
		case l.state == awake, l.state == asleep, l.state == resting, l.state == grabbing && idle:
			l.state = parked
			orders = append(orders, order{l: l})
		}
	}
	s.mu.Unlock()
	for _, o := range orders {
		// If it fails, the connection ends and its reader reports that.
		_ = o.l.out.Send(func(dst []byte) []byte {
			if o.keep == nil {
				return appendReset(dst)
			}
			for _, f := range o.loose {
				if f != o.keep {
					dst = proto.AppendCantDo(dst, f.wire)
				}
			}
			return dst
		})
	}
}

// The data of a connection's echoes: at its end, and while its job runs.
const (
	byeEcho   = "bye"
	aliveEcho = "alive"
)

// leave closes the slot's connections. Nothing is in flight on them. Closing a connection may reset
// it and lose data, so leave first waits for an echo, which shows that all earlier data arrived.
func (s *slot) leave() {
	links := s.links()
	for _, l := range links {
		s.mu.Lock()
		l.sayBye = true
		s.mu.Unlock()
		// If it fails, the connection ends, and the wait below doesn't wait for it.
		_ = l.out.Send(func(dst []byte) []byte { return proto.AppendEcho(dst, proto.Request, byeEcho) })
	}
	timer := time.NewTimer(s.w.o.ConnectTimeout)
	defer timer.Stop()
	for _, l := range links {
		select {
		case <-l.echoed:
			_ = l.out.Send(appendReset) // if it fails, the close below has the same effect
		case <-l.down:
		case <-timer.C:
			timer.Reset(0) // the others have timed out, too
		case <-s.w.hard:
		}
	}
	for _, l := range links {
		_ = l.nc.Close() // this ends its reader
	}
}
