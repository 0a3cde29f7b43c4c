package gearmantest

import "strconv"

// The queue is the state of a job server as gearmand 1.1.20 keeps it (other dialects: gearmand2.go,
// perl.go): functions, jobs, and what each connection has registered. It knows no sockets and no
// locks: whoever calls it holds the server's lock, and what it has to say lies in each peer's out
// buffer afterwards. Where gearmand does something surprising, so does this code, and a comment
// says so.
type queue struct {
	rules rules
	now   func() int64 // seconds since 1970, for delayed jobs
	// later calls f, as from outside, after so many milliseconds, unless it is stopped.
	later func(ms int64, f func()) (stop func())

	byName    map[string]*function
	functions []*function // in order of creation

	byHandle map[string]*job
	byUnique map[string]*job // chained by job.sameUnique, newest first, over all functions
	byLoad   map[loadKey]*job
	jobs     list[job] // all of them, in order of creation
	created  uint64    // jobs created since the start; the number in the next handle is created+1

	peers list[peer]
	dirty []*peer // peers with something new in out
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

// disconnect requeues what the peer worked on, and abandons what it waited for.
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

// function finds a function by name, or creates it: whatever names a function makes gearmand list
// it for good.
func (q *queue) function(name []byte) *function {
	if f := q.byName[string(name)]; f != nil {
		return f
	}
	f := &function{name: string(name)}
	q.byName[f.name] = f
	q.functions = append(q.functions, f)
	return f
}

// submission is what a client asks for.
type submission struct {
	function, unique, reducer, data []byte
	prio                            priority
	when                            int64
}

// submit finds the job that the submission coalesces with, or creates one; nil when the function's
// queue is full. A peer that is not nil waits for the job.
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

// maxKept is how much of a unique key gearmand keeps. It takes keys of 64 bytes, but then neither
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

// enqueue puts a job at the end of its line and rings sleepers. A job that was running has one
// retry more; at the limit it fails.
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

// free forgets a job, wherever it is but in a line.
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

// leave ends a foreground client's wait. When it was the last one the job is abandoned, also one
// that was submitted in the background and joined by the client.
func (q *queue) leave(w *waiter) {
	w.peer.waits.remove(&w.byPeer)
	w.job.waiters.remove(&w.byJob)
	if w.job.waiters.front == nil {
		w.job.abandoned, w.job.queuedOn = true, false
	}
}

// cancel fails a job for those who wait for it. It stays counted until a worker comes across it; a
// running one runs on.
func (q *queue) cancel(handle string) bool {
	j := q.byHandle[handle]
	if j == nil {
		return false
	}
	q.tellFail(j)
	j.abandoned, j.queuedOn = true, false
	return true
}

// running finds a job by handle that this peer works on.
func (q *queue) running(p *peer, handle []byte) *job {
	j := q.byHandle[string(handle)]
	if j == nil || j.worker == nil || j.worker.peer != p {
		return nil
	}
	return j
}

// drop removes a function without workers and running jobs. Its queued jobs dangle: `show jobs`
// lists them, no worker gets them.
func (q *queue) drop(f *function) {
	delete(q.byName, f.name)
	for i, g := range q.functions {
		if g == f {
			q.functions = append(q.functions[:i], q.functions[i+1:]...)
			return
		}
	}
}
