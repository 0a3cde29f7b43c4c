package worker

import (
	"errors"
	"sync"

	"github.com/gearman-operator/gearman-operator/gearman"
)

// ErrJoined is in Done.Err of a run whose connection was lost, and whose job the job server then
// gave to another slot of this worker. That slot did not run the job again: it waited for this run,
// and reported its outcome.
var ErrJoined = errors.New("the outcome of the job is sent by the slot to which the job server assigned the job again")

// underway records the jobs that run in a worker. A job server that loses the connection of a
// running job gives the job to another worker connection, which may be another slot of the same
// worker. A job must not run twice at once in one process.
type underway struct {
	mu sync.Mutex
	by map[gearman.JobID]*Job
}

func (r *underway) init() { r.by = make(map[gearman.JobID]*Job) }

// enter records that a job is about to run, or returns the run of the same job that is under way.
// If takes is true, the job gets the outcome of that run.
func (r *underway) enter(job *Job, takes bool) (other *Job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	other = r.by[job.ID()]
	if other == nil {
		r.by[job.ID()] = job
		return nil
	}
	if !other.isSame(job) {
		return nil
	}
	if other.settled == nil {
		other.settled = make(chan struct{})
	}
	if takes {
		other.heir = job
	}
	return other
}

// isSame reports whether two jobs with the same handle are the same job. A job server that was
// restarted may reuse a handle. It was not restarted if some connection to it has been open all the
// time. Jobs with the same key are one job to the job server, too. If the job server enforces a
// timeout, it has given the job away again because this run takes too long; then it is not the
// same.
func (j *Job) isSame(other *Job) bool {
	return j.fn == other.fn && j.fn.serverTimeout == 0 && j.unique == other.unique && j.size == other.size &&
		(j.hasKey() || j.epoch == other.epoch)
}

// end passes the outcome of a job that has run to the job that waits for it.
func (r *underway) end(job *Job, result []byte, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by[job.ID()] == job {
		delete(r.by, job.ID())
	}
	if heir := job.heir; heir != nil {
		job.joined = true
		heir.inherited.result, heir.inherited.err, heir.next = result, err, job.next
		job.mu.Lock()
		from, size := job.resultFrom, job.resultSize
		job.resultFrom = nil
		job.mu.Unlock()
		heir.mu.Lock()
		heir.resultFrom, heir.resultSize = from, size
		heir.mu.Unlock()
	}
	if job.settled != nil {
		close(job.settled)
	}
}

// leave ends a job's wait for another run. The outcome may have arrived nevertheless.
func (r *underway) leave(job, other *Job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if other.heir == job {
		other.heir = nil
	}
}

// runOrJoin runs a job. If the job already runs in another slot, it waits for that run instead, and
// returns its outcome.
func (s *slot) runOrJoin(l *link, job *Job, run func() ([]byte, error)) ([]byte, error) {
	r := &s.w.runs
	takes := !s.w.o.DropOnDisconnect // with DropOnDisconnect the other run is being canceled
	for {
		other := r.enter(job, takes)
		if other == nil {
			return run()
		}
		s.w.o.Logger.Info(
			"The job server assigned a job again that still runs here; waiting for its outcome",
			"job", job.ID().String(), "slot", s.id,
		)
		select {
		case <-other.settled:
		case <-l.down:
			r.leave(job, other)
			return nil, ErrDisconnected
		}
		if takes {
			job.done.Joined = true
			return job.inherited.result, job.inherited.err
		}
	}
}
