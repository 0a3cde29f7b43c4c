package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// Journal records, beyond the worker's own death, which jobs it runs. Without it, a job that kills
// its worker would be requeued again and again, since nobody would count its runs.
type Journal interface {
	// Begin records that a slot runs a job. It returns how many earlier runs of the job ended with
	// the death of a worker and have not been settled since.
	Begin(job *Job) (kills int)
	// End records that a slot no longer runs its job.
	End(job *Job)
	// Settle forgets the kills of a job: they are included in the number of its next attempt, or
	// the job has ended.
	Settle(job *Job)
}

const (
	slotRuns  = 3                      // runs of a crashed job that clients wait for
	slotPause = 500 * time.Millisecond // before the second of these runs, doubled before the third
	holdPause = time.Second            // between two attempts to submit a job again
)

// errHeld means that a failed job could neither be submitted again nor be held any longer: it is
// requeued.
var errHeld = errors.New("the failed job could not be submitted again")

// runJob runs a job, and handles its further attempts if it fails and its function's policy allows
// them. It returns the outcome to report to the job server.
func (s *slot) runJob(ctx context.Context, l *link, job *Job) (result []byte, err error) {
	if job.fn.retry == nil || job.payloadErr != nil { // without its payload it can't be submitted again
		return job.fn.call(ctx, job)
	}
	j := s.w.o.Journal
	if j == nil {
		return s.runAttempts(ctx, l, job)
	}
	kills := j.Begin(job)
	defer j.End(job)
	if kills > 0 {
		settled, err := s.settleKills(l, job, kills)
		if !settled {
			result, err = s.runAttempts(ctx, l, job)
		}
		if !errors.Is(err, ErrRequeue) {
			j.Settle(job)
		}
		return result, err
	}
	return s.runAttempts(ctx, l, job)
}

func (s *slot) runAttempts(ctx context.Context, l *link, job *Job) ([]byte, error) {
	p := job.fn.retry
	for {
		result, err := job.fn.call(ctx, job)
		if err == nil || job.exited || errors.Is(err, ErrRequeue) || s.w.jobs.Err() != nil || job.isLate() {
			return result, err
		}
		if l.isDown() && job.CanRequeue() {
			// The job server requeues it: another attempt submitted here would be one too many.
			return nil, fmt.Errorf("%w: %w", ErrRequeue, err)
		}
		e := classify(ctx, err)
		more := job.Attempt() < p.limit(e)
		if !more && p.DeadLetter == "" {
			return result, err
		}
		waits, held := s.clientsWait(l, job)
		if held != nil {
			return nil, errors.Join(held, err)
		}
		if more && e.Crashed && p.Backoff == 0 && !job.hasKey() {
			waits = true // they may; and the next run in the slot starts just as soon
		}
		switch {
		case more && !waits:
			return nil, errors.Join(s.resubmit(l, job, job.Attempt()+1, p.delay(job.Attempt()+1)), err)
		case more && e.Crashed && job.again+1 < slotRuns && s.pause(l, slotPause<<job.again):
			job.repeat()
		case !more && !waits:
			return nil, errors.Join(s.bury(l, job, e, job.Attempt()), err)
		default:
			return result, err
		}
	}
}

// settleKills handles a job of which this many runs killed their worker. The job is submitted again
// with a number of the attempt that includes these runs, so that each worker that gets it knows of
// them. A job that has used all its attempts is not run again.
func (s *slot) settleKills(l *link, job *Job, kills int) (settled bool, err error) {
	p := job.fn.retry
	runs := job.attempt - 1 + kills
	e := &gearman.JobError{
		Reason:  gearman.ReasonKilled,
		Message: fmt.Sprintf("%d runs of the job ended with the death of their worker", kills), Crashed: true,
	}
	waits, err := s.clientsWait(l, job)
	switch {
	case err != nil:
		return true, err
	case runs >= p.limit(e) && !waits && p.DeadLetter != "":
		return true, errors.Join(s.bury(l, job, e, runs), e)
	case runs >= p.limit(e):
		return true, e
	case !waits:
		return true, errors.Join(s.resubmit(l, job, runs+1, 0), e)
	}
	job.attempt = runs + 1
	return false, nil
}

// resubmit submits a job again, as its nth attempt.
func (s *slot) resubmit(l *link, job *Job, n int, delay time.Duration) error {
	ident, err := job.ident()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRequeue, err)
	}
	sub := &submission{function: job.fn.wire, key: attemptKey(n, ident), payload: job.Reader()}
	if delay > 0 {
		sub.function += RetrySuffix
		sub.at = time.Now().Add(delay + time.Second - 1) // job servers count in whole seconds
	}
	if err := s.submitSurely(l, sub); err != nil {
		return err
	}
	job.next = Retried
	return nil
}

// bury submits a job to the dead letter function.
func (s *slot) bury(l *link, job *Job, e *gearman.JobError, runs int) error {
	id := ""
	if s.w.o.ClientID != nil {
		id = s.w.o.ClientID(s.id)
	}
	front, key, err := job.deadLetter(e, runs, id)
	if err != nil {
		return fmt.Errorf("%w: dead letter: %w", ErrRequeue, err)
	}
	sub := &submission{function: s.w.o.Prefix + job.fn.retry.DeadLetter, key: key, front: front, payload: job.Reader()}
	if err := s.submitSurely(l, sub); err != nil {
		return err
	}
	job.next = Buried
	return nil
}

// submitSurely submits a job to the job server of l, or to another one if that accepts none, until
// one has confirmed it. If the worker stops first, or the connection of the present job is lost, it
// gives up, and the present job is requeued.
func (s *slot) submitSurely(l *link, sub *submission) error {
	for {
		var err error
		for _, ep := range append([]gearman.Endpoint{l.c.server.ep}, s.w.otherServers(l.c.server.ep)...) {
			e := s.w.side(ep).submit(s.w.jobs, sub)
			if e == nil {
				return nil
			}
			err = errors.Join(err, e)
		}
		s.w.o.Logger.Warn(
			"A failed job is held until it can be submitted again", "function", sub.function, "error", err,
		)
		if !s.pause(l, holdPause) {
			return fmt.Errorf("%w: %w: %w", ErrRequeue, errHeld, err)
		}
	}
}

// clientsWait reports whether clients wait for a job, or may wait: job servers of some kinds, or
// this one, can't report it. Jobs without a key count as background jobs, since job servers report
// nothing about them. If the worker stops before the job server has responded, or the connection of
// the job is lost, it returns an error, and the job is requeued.
func (s *slot) clientsWait(l *link, job *Job) (bool, error) {
	if d := job.ServerVersion().Dialect; !d.Delays() || !d.Requeues() {
		return true, nil
	}
	if !job.hasKey() {
		return false, nil
	}
	for {
		n, known, err := s.w.side(l.c.server.ep).clients(s.w.jobs, job.unique)
		if err == nil {
			return !known || n > 0, nil
		}
		if _, refused := as[*proto.ServerError](err); refused {
			return true, nil
		}
		if !s.pause(l, holdPause) {
			return false, fmt.Errorf("%w: %w: %w", ErrRequeue, errHeld, err)
		}
	}
}

// hasKey reports whether the job has a key that its status can be requested with.
func (j *Job) hasKey() bool { return j.unique != "" && j.unique != "-" }

// pause waits for d. It returns false as soon as the worker stops or the connection of the job is
// lost.
func (s *slot) pause(l *link, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.down:
	case <-s.w.soft:
	case <-s.w.hard:
	}
	return false
}

// repeat prepares a job for another run in its slot.
func (j *Job) repeat() {
	j.again++
	j.mu.Lock()
	defer j.mu.Unlock()
	if c, ok := j.resultFrom.(io.Closer); ok {
		_ = c.Close() // from the run that failed
	}
	j.resultFrom, j.resultSize = nil, 0
	if j.spool != nil {
		_, _ = j.spool.Seek(0, io.SeekStart) // readers have their own positions
	}
}

func (j *Job) isLate() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.late
}
