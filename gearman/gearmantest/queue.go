package gearmantest

import "strconv"

// The queue is the state of a job server like that of gearmand 1.1.20 (other dialects:
// gearmand2.go, perl.go): functions, jobs, and the registrations of each connection. It uses no
// sockets and no locks. The caller holds the server's lock, and finds the output in each peer's out
// buffer. Where gearmand does something surprising, this code does the same, with a comment.
type queue struct {
	rules rules
	now   func() int64 // seconds since 1970, for delayed jobs
	// later calls f from outside the queue after this many milliseconds, unless it is stopped.
	later func(ms int64, f func()) (stop func())

	byName    map[string]*function
	functions []*function // in order of creation

	byHandle map[string]*job
	byUnique map[string]*job // chained by job.sameUnique, newest first, over all functions
	byLoad   map[loadKey]*job
	jobs     list[job] // all jobs, in order of creation
	created  uint64    // jobs created since the start; the number in the next handle is created+1

	peers list[peer]
	dirty []*peer // peers with new output
}

func newQueue(r rules, now func() int64) *queue {
	return &queue{
		rules: r, now: now,
		byName: map[string]*function{}, byHandle: map[string]*job{}, byUnique: map[string]*job{},
		byLoad: map[loadKey]*job{},
	}
}

func (q *queue) connect(p *peer) {
	p.id = "-"
	p.exceptions = q.rules.exceptions && !q.rules.perl
	p.node.v = p
	q.peers.pushFront(&p.node)
}

// disconnect requeues the jobs that the peer was running, and abandons those that it waited for.
func (q *queue) disconnect(p *peer) {
	if q.rules.perl {
		q.perlDisconnect(p)
		return
	}
	p.sleeping, p.rung = false, false
	q.clearAlarm(p)
	q.resetAbilities(p)
	for w := p.waits.front; w != nil; w = p.waits.front {
		q.leave(w.v)
	}
	q.peers.remove(&p.node)
}

// function finds a function by name, or creates it: gearmand lists a function for good once
// anything has named it.
func (q *queue) function(name []byte) *function {
	if f := q.byName[string(name)]; f != nil {
		return f
	}
	f := &function{name: string(name)}
	q.byName[f.name] = f
	q.functions = append(q.functions, f)
	return f
}

// submission is a client's request to submit a job.
type submission struct {
	function, unique, reducer, data []byte
	prio                            priority
	when                            int64
}

// submit finds the job that the submission coalesces with, or creates one. It returns nil if the
// function's queue is full. A peer that is not nil waits for the job.
func (q *queue) submit(s submission, client *peer) *job {
	if q.rules.perl {
		return q.perlAdd(s, client)
	}
	f := q.function(s.function)
	j := q.coalesce(f, s)
	if j == nil {
		if f.limit[s.prio] > 0 && f.total >= f.limit[s.prio] {
			return nil
		}
		j = q.create(f, s)
		j.queuedOn = client == nil
		q.enqueue(j)
	}
	if client != nil {
		w := &waiter{peer: client, job: j}
		w.byPeer.v, w.byJob.v = w, w
		client.waits.pushFront(&w.byPeer)
		j.waiters.pushFront(&w.byJob)
	}
	return j
}

// maxKept is how much of a unique key gearmand stores. It accepts keys of 64 bytes, but neither
// coalesces by them nor finds them.
const maxKept = 63

func (q *queue) coalesce(f *function, s submission) *job {
	switch {
	case len(s.unique) == 0 || len(s.unique) > maxKept:
		return nil
	case len(s.unique) == 1 && s.unique[0] == '-':
		if len(s.data) == 0 {
			return nil
		}
		return q.byLoad[loadKey{f, string(s.data)}]
	}
	for j := q.byUnique[string(s.unique)]; j != nil; j = j.sameUnique {
		if j.fn == f {
			return j
		}
	}
	return nil
}

func (q *queue) create(f *function, s submission) *job {
	q.created++
	j := &job{
		handle: q.rules.handlePrefix + ":" + strconv.FormatUint(q.created, 10),
		fn:     f, unique: string(s.unique[:min(len(s.unique), maxKept)]), uniqueLen: len(s.unique),
		reducer: string(s.reducer),
		data:    append([]byte(nil), s.data...), prio: s.prio, when: s.when,
	}
	j.node.v = j
	q.jobs.pushBack(&j.node)
	q.byHandle[j.handle] = j
	f.total++
	switch {
	case len(s.unique) == 0 || len(s.unique) > maxKept:
	case j.unique == "-":
		if len(s.data) > 0 {
			j.load = true
			q.byLoad[loadKey{f, string(s.data)}] = j
		}
	default:
		j.sameUnique = q.byUnique[j.unique]
		q.byUnique[j.unique] = j
	}
	return j
}

// enqueue puts a job at the end of its line and wakes sleepers. If the job was running, its retries
// count up; at the limit it fails.
func (q *queue) enqueue(j *job) {
	if j.worker != nil {
		j.retries++
		if q.rules.jobRetries != 0 && j.retries == q.rules.jobRetries {
			q.tellFail(j)
			q.free(j)
			return
		}
		q.release(j)
		j.numerator, j.denom = 0, 0
	}
	q.ring(j.fn)
	j.fn.lines[j.prio].push(j)
	j.fn.queued++
	if q.rules.two {
		q.wakeWhenDue(j.fn, j.when)
	}
}

// free removes a job from everywhere except its line.
func (q *queue) free(j *job) {
	if j.worker != nil {
		q.release(j)
	}
	j.fn.total--
	for w := j.waiters.front; w != nil; w = j.waiters.front {
		j.waiters.remove(w)
		w.v.peer.waits.remove(&w.v.byPeer)
	}
	q.jobs.remove(&j.node)
	delete(q.byHandle, j.handle)
	if j.load {
		delete(q.byLoad, loadKey{j.fn, string(j.data)})
	}
	if head := q.byUnique[j.unique]; head == j {
		if j.sameUnique == nil {
			delete(q.byUnique, j.unique)
		} else {
			q.byUnique[j.unique] = j.sameUnique
		}
	} else {
		for ; head != nil; head = head.sameUnique {
			if head.sameUnique == j {
				head.sameUnique = j.sameUnique
				break
			}
		}
	}
}

// leave ends a foreground client's wait. If it was the last one, the job is abandoned, even if it
// was submitted in the background and the client only joined it.
func (q *queue) leave(w *waiter) {
	w.peer.waits.remove(&w.byPeer)
	w.job.waiters.remove(&w.byJob)
	if w.job.waiters.front == nil {
		w.job.abandoned, w.job.queuedOn = true, false
	}
}

// cancel fails a job for the clients that wait for it. The job stays counted until a worker comes
// across it; a running job continues.
func (q *queue) cancel(handle string) bool {
	j := q.byHandle[handle]
	if j == nil {
		return false
	}
	q.tellFail(j)
	j.abandoned, j.queuedOn = true, false
	return true
}

// running finds a job by handle that this peer is running.
func (q *queue) running(p *peer, handle []byte) *job {
	j := q.byHandle[string(handle)]
	if j == nil || j.worker == nil || j.worker.peer != p {
		return nil
	}
	return j
}

// drop removes a function without workers and running jobs. Its queued jobs are left dangling:
// `show jobs` lists them, and no worker gets them.
func (q *queue) drop(f *function) {
	delete(q.byName, f.name)
	for i, g := range q.functions {
		if g == f {
			q.functions = append(q.functions[:i], q.functions[i+1:]...)
			return
		}
	}
}
