package worker

import (
	"errors"
	"slices"
	"sync"
)

// ErrJoined is in Done.Err of a run whose connection was lost, and whose job the job server then
// gave to another slot of this worker. That slot did not run the job again: it waited for this run,
// and reported its outcome.
var ErrJoined = errors.New("the outcome of the job is sent by the slot to which the job server assigned the job again")

// underway records the jobs that run in a worker. A job server that loses the connection of a
// running job gives the job to another worker connection, which may be another slot of the same
// worker. A job must not run twice at once in one process.
//
// Each job enters and leaves, so the jobs are spread over several lists, by the ends of their
// handles, which count up: the slots rarely wait for each other, and a list is short.
type underway [64]runningJobs

// runningJobs is one of the lists.
type runningJobs struct {
	mu   sync.Mutex
	jobs []*Job // of different ids
}

// like returns the list of the jobs whose handles may equal job's.
func (r *underway) like(job *Job) *runningJobs {
	h, n := job.handle, 0
	if len(h) > 1 {
		n = int(h[len(h)-1]) + 10*int(h[len(h)-2])
	}
	return &r[n%len(r)]
}

// findLocked returns the index of the run with job's id, or -1.
func (r *runningJobs) findLocked(job *Job) int {
	return slices.IndexFunc(r.jobs, func(j *Job) bool { return j.handle == job.handle && j.server == job.server })
}

// shared is what a run and those that wait for its end have in common.
type shared struct {
	settled chan struct{} // closed when the run has ended
	heir    *Job          // the same job, given to another slot, which reports the outcome; a list's mutex guards it

	// Written before settled is closed.
	result []byte
	err    error
	next   Outcome // Job.next
}

// enter records that a job is about to run, or returns what it shares with the run of the same job
// that is under way. If takes is true, the job gets the outcome of that run.
func (r *underway) enter(job *Job, takes bool) *shared {
	l := r.like(job)
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.findLocked(job)
	if at < 0 {
		l.jobs = append(l.jobs, job)
		return nil
	}
	other := l.jobs[at]
	if !other.isSame(job) {
		return nil
	}
	if other.shared == nil {
		other.shared = &shared{settled: make(chan struct{})}
	}
	if takes {
		other.shared.heir = job
	}
	return other.shared
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
	l := r.like(job)
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := slices.Index(l.jobs, job); at >= 0 {
		last := len(l.jobs) - 1
		l.jobs[at], l.jobs[last] = l.jobs[last], nil
		l.jobs = l.jobs[:last]
	}
	with := job.shared
	if with == nil {
		return
	}
	if heir := with.heir; heir != nil {
		job.joined = true
		with.result, with.err, with.next = result, err, job.next
		job.mu.Lock()
		from, size := job.resultFrom, job.resultSize
		job.resultFrom = nil
		job.mu.Unlock()
		heir.mu.Lock()
		heir.resultFrom, heir.resultSize = from, size
		heir.mu.Unlock()
	}
	close(with.settled)
}

// leave ends a job's wait for another run. The outcome may have arrived nevertheless.
func (r *underway) leave(job *Job, with *shared) {
	l := r.like(job)
	l.mu.Lock()
	defer l.mu.Unlock()
	if with.heir == job {
		with.heir = nil
	}
}

// runOrJoin runs a job. If the job already runs in another slot, it waits for that run instead, and
// returns its outcome.
func (s *slot) runOrJoin(l *link, job *Job, run func() ([]byte, error)) ([]byte, error) {
	r := &s.w.runs
	takes := !s.w.o.DropOnDisconnect // with DropOnDisconnect the other run is being canceled
	for {
		with := r.enter(job, takes)
		if with == nil {
			return run()
		}
		s.w.o.Logger.Info(
			"The job server assigned a job again that still runs here; waiting for its outcome",
			"job", job.ID().String(), "slot", s.id,
		)
		select {
		case <-with.settled:
		case <-l.down:
			r.leave(job, with)
			return nil, ErrDisconnected
		}
		if takes {
			job.done.Joined = true
			job.next = with.next
			return with.result, with.err
		}
	}
}
