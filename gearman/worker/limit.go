package worker

import "sync"

// quota counts the jobs of a worker that ends by itself: after a number of jobs (Options.MaxJobs),
// or when the job servers have no more (Options.StopWhenEmpty). For the first, each request for a
// job needs a ticket, so that no more jobs are taken than are to be run.
type quota struct {
	mu       sync.Mutex
	limited  bool
	tickets  int // that are left
	done     int
	max      int
	running  int
	activity uint64             // counts jobs that came or ended
	empty    map[*server]uint64 // the activity at which a server last had no job
}

func (l *quota) init(maxJobs int, whenEmpty bool) {
	l.limited, l.tickets, l.max = maxJobs > 0, maxJobs, maxJobs
	if whenEmpty {
		l.empty = make(map[*server]uint64)
	}
}

// take takes a ticket for a request.
func (l *quota) take() bool {
	if !l.limited {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tickets == 0 {
		return false
	}
	l.tickets--
	return true
}

// returnTicket returns the ticket of a request that brought no job, or of a job that will be run
// again.
func (w *Worker) returnTicket() {
	if !w.quota.limited {
		return
	}
	w.quota.mu.Lock()
	w.quota.tickets++
	w.quota.mu.Unlock()
	for _, s := range w.slots {
		s.ping()
	}
}

// came records a job.
func (w *Worker) came() {
	if w.quota.empty == nil {
		return
	}
	w.quota.mu.Lock()
	defer w.quota.mu.Unlock()
	w.quota.running++
	w.quota.activity++
}

// ended records a job's end, and stops the worker after the last one that it was to run.
func (w *Worker) ended(o Outcome) {
	if w.quota.limited {
		if o >= Requeued {
			w.returnTicket()
		} else if w.quota.addDone() {
			w.beginStop()
		}
	}
	if w.quota.empty != nil {
		w.quota.mu.Lock()
		w.quota.running--
		w.quota.activity++
		w.quota.mu.Unlock()
	}
}

func (l *quota) addDone() (last bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done++
	return l.done >= l.max
}

// hadNone records that a server had no job, and stops the worker if that now holds for each server
// and no job runs: one that ended meanwhile may have submitted others.
func (w *Worker) hadNone(s *server) {
	if w.quota.empty == nil {
		return
	}
	w.mu.Lock()
	servers := make([]*server, 0, len(w.servers))
	for _, other := range w.servers {
		servers = append(servers, other)
	}
	resolving := w.resolvingLocked()
	w.mu.Unlock()
	w.quota.mu.Lock()
	w.quota.empty[s] = w.quota.activity
	all := w.quota.running == 0 && !resolving
	for _, other := range servers {
		at, ok := w.quota.empty[other]
		all = all && ok && at == w.quota.activity
	}
	w.quota.mu.Unlock()
	if all {
		w.beginStop()
	}
}
