package backlog

import (
	"bytes"
	"slices"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

const (
	// stopsWithin is within how long the worker of a terminating pod unregisters its functions or
	// disconnects, unless it runs a job. A worker that is idle and still registered after it takes
	// the next job.
	stopsWithin = 30 * time.Second
	// reportsWithin is after how long a worker's telemetry includes all jobs that ended before its
	// pod began to terminate.
	reportsWithin = 10 * time.Second
	// reportValidFor is how long the last report of a pod is evidence that its worker runs.
	reportValidFor = time.Minute
)

// termination is the state of a pod since it began to terminate. Guarded by Watcher.mu.
type termination struct {
	since time.Time
	// idle is when each job server first listed the pod's worker as registered while there were
	// fewer running jobs than such workers. A worker that a job server no longer lists has no
	// entry.
	idle map[*server]time.Time
	// ended is how many jobs the process that started at start had ended when its reports were
	// complete; -1 before.
	ended, start int64
}

// recordTermination begins or ends the state of a pod's termination.
func (w *Watcher) recordTermination(q *podState, terminating bool, now time.Time) {
	switch {
	case !terminating || q.ip == "":
		q.terminating = nil
		delete(w.terminating, q)
	case q.terminating == nil:
		q.terminating = &termination{since: now, ended: -1}
		w.terminating[q] = struct{}{}
	}
}

// jobsEnded is how many jobs the pod's process has ended, over all functions.
func (q *podState) jobsEnded() (n int64) {
	for i := range q.counters {
		n += q.counters[i].Runs()
	}
	return n
}

// recordReport compares a report of a terminating pod with the first complete one. A worker that
// stops ends at most one job in each slot.
func (t *termination) recordReport(q *podState, now time.Time) {
	if now.Sub(t.since) < reportsWithin || t.ended >= 0 && t.start == q.start {
		return
	}
	t.start, t.ended = q.start, q.jobsEnded()
}

// takesJobs reports whether the worker of a terminating pod still takes jobs.
func (q *podState) takesJobs(now time.Time) bool {
	t := q.terminating
	if t == nil {
		return false
	}
	if t.ended >= 0 && t.start == q.start && q.jobsEnded()-t.ended > int64(q.capacity) &&
		now.Sub(q.lastSeen) < reportValidFor {
		return true
	}
	for s, since := range t.idle {
		if now.Sub(since) >= stopsWithin && q.pool.uses(s) {
			return true
		}
	}
	return false
}

// registrations counts how many workers of each terminating pod one job server lists as registered.
// It is nil if no pod has been terminating for long.
type registrations map[string]*registered

type registered struct {
	pod       *podState
	functions []string
	workers   int64
}

// terminatingAt lists the pods that have been terminating for long and use the job server, by
// address. Watcher.mu is held.
func (w *Watcher) terminatingAt(s *server, now time.Time) registrations {
	if len(w.terminating) == 0 {
		return nil
	}
	var out registrations
	for _, l := range s.links { // other pools' pods are skipped, however many there are
		for _, q := range l.pool.pods {
			if q.terminating == nil || now.Sub(q.terminating.since) < stopsWithin || q.sharesAddress() {
				continue
			}
			if out == nil {
				out = registrations{}
			}
			out[q.ip] = &registered{pod: q, functions: slices.Clone(q.pool.functions)}
		}
	}
	return out
}

// sharesAddress reports whether another pod of the pool has the same address: rows of that address
// say nothing about this pod.
func (q *podState) sharesAddress() bool {
	return slices.ContainsFunc(q.pool.pods, func(other *podState) bool { return other != q && other.ip == q.ip })
}

// add counts a row of `workers`.
func (r registrations) add(line []byte) {
	row, err := proto.ParseWorkerRow(line)
	if err != nil {
		return
	}
	found := r[string(bytes.TrimPrefix(row.IP, mappedPrefix))]
	if found == nil {
		return
	}
	for function := range row.Functions {
		if slices.Contains(found.functions, string(function)) {
			found.workers++
			return
		}
	}
}

// recordRegistrations adds the rows of one answer. If a pool has more registered workers in
// terminating pods than running jobs, at least one of these workers is idle. Watcher.mu is held.
func (w *Watcher) recordRegistrations(s *server, r registrations, now time.Time) {
	workers := map[*pool]int64{}
	for _, found := range r {
		workers[found.pod.pool] += found.workers
	}
	for _, found := range r {
		t := found.pod.terminating
		switch {
		case t == nil:
		case found.workers == 0:
			delete(t.idle, s)
		case workers[found.pod.pool] > found.pod.pool.runningAt(s):
			if t.idle == nil {
				t.idle = map[*server]time.Time{}
			}
			if _, known := t.idle[s]; !known {
				t.idle[s] = now
			}
		}
	}
}

// runningAt is how many jobs of the pool's functions run at a job server.
func (p *pool) runningAt(s *server) (n int64) {
	for _, l := range p.links {
		if l.srv != s {
			continue
		}
		for _, c := range l.cells {
			n += int64(c.running)
		}
		return n
	}
	return 0
}
