package world

import (
	"fmt"
	"sync"
	"time"
)

// job is the ledger's record of one job that a job server accepted.
type job struct {
	id        int
	pool      int
	function  string
	server    int
	takes     time.Duration
	fails     int // how many of its first attempts fail
	submitted time.Time
	starts    []start
	completed int
}

// start is one attempt at a job.
type start struct {
	pod string
	at  time.Time
	end time.Time // zero while it runs
	how string    // how it ended

	failed bool   // as planned
	cutOff string // why the process ended before the job did; empty if it didn't
}

// repeated returns the first attempt at a job that did not fail as planned, and the one after it.
// It returns nil if there is no such pair.
func (j *job) repeated() (first, second *start) {
	for i := range len(j.starts) - 1 {
		if !j.starts[i].failed {
			return &j.starts[i], &j.starts[i+1]
		}
	}
	return nil, nil
}

// ledger keeps account of all jobs.
type ledger struct {
	mu   sync.Mutex
	jobs []*job
	open map[int]int // jobs that are not completed, by pool
	runs map[int]int // running attempts, by pool
	peak map[int]int // the most open jobs since the last snapshot, by pool
}

func newLedger() *ledger {
	return &ledger{open: map[int]int{}, runs: map[int]int{}, peak: map[int]int{}}
}

func (l *ledger) submit(pool int, function string, server int, takes time.Duration, fails int, now time.Time) *job {
	l.mu.Lock()
	defer l.mu.Unlock()
	j := &job{
		id: len(l.jobs), pool: pool, function: function, server: server, takes: takes, fails: fails, submitted: now,
	}
	l.jobs = append(l.jobs, j)
	l.open[pool]++
	l.peak[pool] = max(l.peak[pool], l.open[pool])
	return j
}

func (l *ledger) start(id int, pod string, now time.Time) *job {
	l.mu.Lock()
	defer l.mu.Unlock()
	j := l.jobs[id]
	j.starts = append(j.starts, start{pod: pod, at: now})
	l.runs[j.pool]++
	return j
}

// fails reports whether the attempt at a job that ends now on a pod fails, and records that.
func (l *ledger) fails(j *job, pod string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &j.starts[len(j.starts)-1]
	s.failed = s.pod == pod && len(j.starts) <= j.fails
	return s.failed
}

// end records how the last attempt of a job on a pod ended. If completed, the job server got the
// outcome.
func (l *ledger) end(id int, pod, how string, completed bool, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	j := l.jobs[id]
	for i := range j.starts {
		if s := &j.starts[i]; s.pod == pod && s.end.IsZero() {
			s.end, s.how = now, how
			l.runs[j.pool]--
			break
		}
	}
	if completed {
		if j.completed == 0 {
			l.open[j.pool]--
		}
		j.completed++
	}
}

// running returns how many attempts at a pool's jobs run.
func (l *ledger) running(pool int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.runs[pool]
}

// takePeak returns the most jobs of a pool that were open at once since its last call.
func (l *ledger) takePeak(pool int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := max(l.peak[pool], l.open[pool])
	l.peak[pool] = l.open[pool]
	return n
}

func (l *ledger) unfinished() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, open := range l.open {
		n += open
	}
	return n
}

func (j *job) String() string {
	return fmt.Sprintf("job %d of %s on server %d (%s)", j.id, j.function, j.server, j.takes.Round(time.Millisecond))
}

// onPod returns the attempts of a pool's jobs on a pod.
func (l *ledger) onPod(pool int, pod string) (out []start) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, j := range l.jobs {
		if j.pool != pool {
			continue
		}
		for _, s := range j.starts {
			if s.pod == pod {
				out = append(out, s)
			}
		}
	}
	return out
}
