package worker

import "sync"

// quota counts the jobs of a worker that stops by itself: after a number of jobs (Options.MaxJobs),
// or when the job servers have no more (Options.StopWhenEmpty). For MaxJobs, each request for a job
// needs a ticket, so that the worker takes no more jobs than it will run.
type quota struct {
	mu       sync.Mutex
	limited  bool
	tickets  int // tickets left
	done     int
	max      int
	running  int
	activity uint64             // counts jobs that arrived or ended
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

// returnTicket returns the ticket of a request that got no job, or of a job that will run again.
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

// came records that a job has arrived.
func (w *Worker) came() {
	if w.quota.empty == nil {
		return
	}
	w.quota.mu.Lock()
	defer w.quota.mu.Unlock()
	w.quota.running++
	w.quota.activity++
}

// ended records that a job has ended, and stops the worker after the last job that it should run.
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

// hadNone records that a job server had no job. It stops the worker if no job server has one and no
// job is running: a job that has ended since may have submitted others.
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
