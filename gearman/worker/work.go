package worker

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/internal/transport"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// work runs a job, stages its outcome, and drives the slot on. The outcome is sent together with
// the next request if that goes to the same job server. It returns errPassed if another goroutine
// now reads from the link.
func (s *slot) work(l *link, job *Job, stopping bool) (err error) {
	w := s.w
	w.came()
	if stopping {
		s.unregister(false) // the stop may have skipped this link while it was grabbing
	}
	l.startJob(w.o.DropOnDisconnect)
	if hook := w.o.Hooks.JobStart; hook != nil {
		hook(job)
	}
	var start time.Duration
	if w.o.Hooks.JobDone != nil { // otherwise nobody wants to know
		start = w.clock()
	}
	ctx, release := s.jobContext(l, job)
	var result []byte
	var failure error
	defer func() { // deferred, since a handler may end the goroutine
		if job.done.BytesIn = job.size; w.o.Hooks.JobDone != nil {
			job.done.Duration = w.clock() - start
		}
		job.done.Timeout = job.fn.timeout > 0 && errors.Is(context.Cause(ctx), ErrTimeout)
		release()
		if job.exited {
			failure = errExited
		}
		w.runs.end(job, result, failure)
		passed := l.endJob(job.exited)
		s.done(l, job, result, failure)
		if !passed {
			s.goOn(l, job)
			return
		}
		// The new reader could start the next job before this one is reported as done.
		s.mu.Lock()
		s.endedLocked(job)
		s.mu.Unlock()
		s.sent(job, l.out.Flush())
		err = errPassed
		s.goOn(nil, nil)
	}()
	result, failure = s.runOrJoin(l, job, func() ([]byte, error) { return s.runJob(ctx, l, job) })
	return nil
}

// done stages a job's outcome.
func (s *slot) done(l *link, job *Job, result []byte, err error) {
	job.done.Outcome, job.done.Err = s.finish(l, job, result, err)
	job.done.BytesOut = job.sent.Load()
	job.removeSpool()
	if s.w.o.Linger > 0 { // otherwise nobody reads it
		s.w.lastJob.Store(time.Now().UnixNano())
	}
}

// endedLocked makes the link of a job that is done available for polling again.
func (s *slot) endedLocked(job *Job) {
	l := job.link
	s.running, l.cancelJob, l.working = nil, nil, nil
	l.state, l.quick, l.notBefore = awake, 0, time.Time{}
	if job.done.Outcome >= Requeued { // the connection has ended or is about to
		l.state = broken
	}
	l.success = l.success || job.done.Outcome == Complete
}

var errExited = errors.New("the handler ended its goroutine (runtime.Goexit)")

// sent calls the hook for a job whose outcome has been flushed.
func (s *slot) sent(job *Job, err error) {
	if err != nil && job.done.Outcome < Requeued {
		job.done.Outcome, job.done.Err = Lost, errors.Join(job.done.Err, err)
	}
	if hook := s.w.o.Hooks.JobDone; hook != nil {
		hook(job, job.done)
	}
	s.w.ended(job.done.Outcome)
}

// unobserved reports whether sent has nothing to do.
func (w *Worker) unobserved() bool {
	return w.o.Hooks.JobDone == nil && !w.quota.limited && w.quota.empty == nil
}

func nothing() {}

// jobContext returns the handler's context. It is the worker's own if only a hard stop can end it.
func (s *slot) jobContext(l *link, job *Job) (ctx context.Context, release func()) {
	ctx, release = s.w.jobs, nothing
	if s.w.o.DropOnDisconnect {
		var cancel context.CancelCauseFunc
		ctx, cancel = context.WithCancelCause(ctx)
		release = func() { cancel(nil) }
		s.mu.Lock()
		l.cancelJob = cancel
		s.mu.Unlock()
		if l.isDown() { // the link ended before cancelJob was set
			cancel(ErrDisconnected)
		}
	}
	if t := job.fn.timeout; t > 0 {
		outer := release
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, t, ErrTimeout)
		late := time.AfterFunc(t+job.fn.grace, job.failLate)
		release = func() { late.Stop(); cancel(); outer() }
	}
	return ctx, release
}

// failLate fails a job whose handler doesn't return.
func (j *Job) failLate() {
	j.mu.Lock()
	if j.ended {
		j.mu.Unlock()
		return
	}
	j.ended, j.late = true, true
	j.mu.Unlock()
	// If it fails, the connection ends and its reader reports that.
	_ = j.link.out.Send(func(dst []byte) []byte { return proto.AppendWorkFail(dst, proto.Request, j.handle) })
}

// finish stages the outcome, or sends it directly if it is large.
func (s *slot) finish(l *link, job *Job, result []byte, err error) (Outcome, error) {
	job.mu.Lock()
	late := job.late
	job.ended = true
	from, size := job.resultFrom, job.resultSize
	job.mu.Unlock()
	if c, ok := from.(io.Closer); ok {
		defer c.Close()
	}
	if late {
		return Fail, errors.Join(ErrTimeout, err)
	}
	if outcome, gone, err := s.gone(l, job, err); gone {
		return outcome, err
	}
	if err != nil && job.next != 0 {
		if sendErr := s.fail(l, job); sendErr != nil {
			return Lost, errors.Join(err, sendErr)
		}
		return job.next, err
	}
	var failure *gearman.JobError
	if err != nil { // as would allocate memory for each job
		failure, _ = as[*gearman.JobError](err)
	}
	isException := failure != nil && failure.Exception != nil
	var sendErr error
	outcome := Complete
	switch {
	case err == nil && from != nil:
		sendErr = l.out.Stream(func(dst []byte) []byte {
			return proto.AppendWorkHeader(dst, proto.Request, proto.TypeWorkComplete, job.handle, size)
		}, from, size)
		job.sent.Add(size)
	case err == nil:
		sendErr = checkSize(int64(len(result)))
		if sendErr != nil {
			return Fail, errors.Join(sendErr, s.fail(l, job))
		}
		sendErr = job.stage(proto.TypeWorkComplete, result)
	case errors.Is(err, ErrRequeue) && job.CanRequeue():
		s.drop(l, errRequeue)
		return Requeued, err
	case isException:
		outcome = Excepted
		sendErr = job.stage(proto.TypeWorkException, failure.Exception)
		if !job.ServerVersion().Dialect.ExceptionEnds() {
			sendErr = errors.Join(sendErr, s.fail(l, job))
		}
	default:
		outcome = Fail
		if failure != nil && len(failure.Warning) > 0 {
			sendErr = job.stage(proto.TypeWorkWarning, failure.Warning)
		}
		sendErr = errors.Join(sendErr, s.fail(l, job))
	}
	if sendErr != nil {
		return Lost, errors.Join(err, sendErr)
	}
	return outcome, err
}

// gone reports whether nothing can be sent for the job any more, and the outcome in that case.
func (s *slot) gone(l *link, job *Job, err error) (_ Outcome, gone bool, _ error) {
	select {
	case <-s.w.hard: // checked first, since a hard stop also closes the connections
		return Abandoned, true, err
	default:
	}
	if job.joined {
		s.drop(l, ErrJoined) // the job server counts it as lost, if it hasn't yet
		return Lost, true, errors.Join(ErrJoined, err)
	}
	if l.isDown() {
		return Lost, true, err
	}
	return 0, false, nil
}

func (s *slot) fail(l *link, job *Job) error {
	return l.out.Stage(func(dst []byte) []byte { return proto.AppendWorkFail(dst, proto.Request, job.handle) })
}

// stage puts a packet about the job into the outbox; large data is written at once, not copied.
func (j *Job) stage(t proto.Type, data []byte) error {
	j.sent.Add(int64(len(data)))
	if len(data) > transport.CopyLimit {
		return j.link.out.StreamBytes(func(dst []byte) []byte {
			return proto.AppendWorkHeader(dst, proto.Request, t, j.handle, int64(len(data)))
		}, data)
	}
	return j.link.out.Stage(func(dst []byte) []byte { return proto.AppendWork(dst, proto.Request, t, j.handle, data) })
}

func (j *Job) alive() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ended || j.link == nil { // a job that a test made belongs to no worker
		return ErrJobDone
	}
	return nil
}

// Status reports the job's progress to clients: numerator of denominator. Job servers store both as
// 32-bit numbers.
func (j *Job) Status(numerator, denominator uint64) error {
	if err := j.alive(); err != nil {
		return err
	}
	return j.link.out.Send(func(dst []byte) []byte {
		return proto.AppendWorkStatus(dst, proto.Request, j.handle, numerator, denominator)
	})
}

// Data sends a part of the result to the clients that wait. Perl's server doesn't support it and
// drops it.
func (j *Job) Data(data []byte) error { return j.tell(proto.TypeWorkData, data) }

// Warning sends a warning to the clients that wait. Perl's server doesn't support it and drops it.
func (j *Job) Warning(data []byte) error { return j.tell(proto.TypeWorkWarning, data) }

func (j *Job) tell(t proto.Type, data []byte) error {
	if err := errors.Join(j.alive(), checkSize(int64(len(data)))); err != nil {
		return err
	}
	if err := j.stage(t, data); err != nil {
		return err
	}
	return j.link.out.Flush()
}

// DataFrom sends size bytes of r as one part of the result, without holding them in memory. If r
// returns fewer bytes, the connection is dropped, which requeues the job.
func (j *Job) DataFrom(r io.Reader, size int64) error {
	if err := errors.Join(j.alive(), checkSize(size)); err != nil {
		return err
	}
	j.sent.Add(size)
	return j.link.out.Stream(func(dst []byte) []byte {
		return proto.AppendWorkHeader(dst, proto.Request, proto.TypeWorkData, j.handle, size)
	}, r, size)
}
