package gearmantest

import "strconv"

// The queue is the state of a job server as gearmand 1.1.20 keeps it: functions, jobs, and what each connection has registered.
// It knows no sockets and no locks: whoever calls it holds the server's lock, and what it has to say lies in each peer's out
// buffer afterwards. Where gearmand does something surprising, so does this code, and a comment says so.
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

// The rules are the switches of a job server that change what the queue does.
type rules struct {
	handlePrefix string
	jobRetries   int
	wakeup       int // workers woken for a job; 0: all
	roundRobin   bool
	exceptions   bool
	perl         bool // Gearman::Server's dialect in place of gearmand's: see perl.go
}

type priority uint8

// The priorities in the order in which they are served.
const (
	high priority = iota
	normal
	low
	priorities
)

type loadKey struct {
	fn   *function
	load string
}

type function struct {
	name    string
	lines   [priorities]line
	queued  int // jobs that wait, abandoned and delayed ones too
	total   int // queued + running
	running int
	workers int // registrations, so that a connection can count several times
	limit   [priorities]int
	asked   bool // Perl: it has had jobs since a worker last asked for one in vain
	// sleepers' ring: the registrations in the order in which they are woken; it starts at next.
	next *registration
}

// A line is the jobs of one function that wait with one priority.
type line struct {
	head, tail *job
	n          int
}

type job struct {
	handle    string
	fn        *function
	unique    string // as the server keeps it: at most 63 bytes
	uniqueLen int    // as the client sent it
	reducer   string
	data      []byte
	load      bool // coalesced by workload
	prio      priority
	when      int64 // not before, in seconds since 1970; 0: at once
	retries   int
	numerator uint32
	denom     uint32
	progress  *[2]string // Perl: both as the worker sent them
	queuedOn  bool       // what `show jobs` prints last: a persistent queue would hold it
	abandoned bool       // cancelled, or its foreground clients left: it goes when a worker comes across it

	worker     *registration // who runs it
	waiters    list[waiter]
	inLine     *job // next in its line
	sameUnique *job
	node       node[job] // in queue.jobs
	held       heldJob   // in worker.held
}

// A waiter is a foreground submission whose connection waits for the job. One connection can wait for a job several times.
type waiter struct {
	peer   *peer
	job    *job
	byPeer node[waiter]
	byJob  node[waiter]
}

// A registration is one CAN_DO of one connection. CAN_DO twice makes two.
type registration struct {
	peer      *peer
	fn        *function
	timeoutMS int64
	held      *job // jobs running under it, the last taken first
	byPeer    node[registration]
	ringNext  *registration
	ringPrev  *registration
}

type heldJob struct{ next, prev *job }

// A peer is a connection as the queue sees it.
type peer struct {
	conn       *conn // its owner; nil in tests of the queue alone
	out        []byte
	dirty      bool
	fd         int
	ip         string
	id         string
	sleeping   bool
	rung       bool // a NOOP was sent since the last grab
	exceptions bool
	stuck      stuck
	regs       list[registration] // the last registered first, unless the server rotates
	waits      list[waiter]
	alarm      alarm
	node       node[peer]
}

// An alarm is the one timer of a connection for CAN_DO_TIMEOUT.
type alarm struct {
	job  *job
	stop func()
}

func newQueue(r rules, now func() int64) *queue {
	return &queue{
		rules: r, now: now,
		byName: map[string]*function{}, byHandle: map[string]*job{}, byUnique: map[string]*job{}, byLoad: map[loadKey]*job{},
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

// function finds a function by name, or creates it: whatever names a function makes gearmand list it for good.
func (q *queue) function(name []byte) *function {
	if f := q.byName[string(name)]; f != nil {
		return f
	}
	f := &function{name: string(name)}
	q.byName[f.name] = f
	q.functions = append(q.functions, f)
	return f
}

// ready is the first job of a line that is due, with the job before it.
func (l *line) ready(now int64) (before, j *job) {
	for j = l.head; j != nil && j.when != 0 && j.when > now; j = j.inLine {
		before = j
	}
	return before, j
}

func (l *line) push(j *job) {
	j.inLine = nil
	if l.head == nil {
		l.head = j
	} else {
		l.tail.inLine = j
	}
	l.tail = j
	l.n++
}

func (l *line) remove(before, j *job) {
	if before == nil {
		l.head = j.inLine
	} else {
		before.inLine = j.inLine
	}
	if l.tail == j {
		l.tail = before
	}
	l.n--
}

// canDo registers a function for a peer; the newest registration is served first.
func (q *queue) canDo(p *peer, name []byte, timeoutMS int64) {
	f := q.function(name)
	r := &registration{peer: p, fn: f, timeoutMS: timeoutMS}
	r.byPeer.v = r
	p.regs.pushFront(&r.byPeer)
	if f.next == nil {
		f.next, r.ringNext, r.ringPrev = r, r, r
	} else {
		r.ringNext, r.ringPrev = f.next, f.next.ringPrev
		r.ringPrev.ringNext, r.ringNext.ringPrev = r, r
	}
	f.workers++
}

func (q *queue) cantDo(p *peer, name []byte) {
	for n := p.regs.front; n != nil; {
		r := n.v
		n = n.next
		if r.fn.name == string(name) {
			q.unregister(r)
		}
	}
}

func (q *queue) resetAbilities(p *peer) {
	for n := p.regs.front; n != nil; n = p.regs.front {
		q.unregister(n.v)
	}
}

// unregister requeues the jobs that run under the registration, the last taken first, and removes it. It stays on the function's
// ring until they are requeued, so that its own connection, when it sleeps, is rung for them.
func (q *queue) unregister(r *registration) {
	for r.held != nil {
		q.enqueue(r.held)
	}
	r.peer.regs.remove(&r.byPeer)
	if r.ringNext == r {
		r.fn.next = nil
	} else {
		r.ringNext.ringPrev, r.ringPrev.ringNext = r.ringPrev, r.ringNext
		if r.fn.next == r {
			r.fn.next = r.ringNext
		}
	}
	r.fn.workers--
}

// submission is what a client asks for.
type submission struct {
	function, unique, reducer, data []byte
	prio                            priority
	when                            int64
}

// submit finds the job that the submission coalesces with, or creates one; nil when the function's queue is full. A peer that is
// not nil waits for the job.
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

// maxKept is how much of a unique key gearmand keeps. It takes keys of 64 bytes, but then neither coalesces by them nor finds them.
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
		fn:     f, unique: string(s.unique[:min(len(s.unique), maxKept)]), uniqueLen: len(s.unique), reducer: string(s.reducer),
		data: append([]byte(nil), s.data...), prio: s.prio, when: s.when,
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

// enqueue puts a job at the end of its line and rings sleepers. A job that was running has one retry more; at the limit it fails.
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
}

// release takes a running job from its worker.
func (q *queue) release(j *job) {
	r := j.worker
	if j.held.prev != nil {
		j.held.prev.held.next = j.held.next
	} else {
		r.held = j.held.next
	}
	if j.held.next != nil {
		j.held.next.held.prev = j.held.prev
	}
	j.held, j.worker = heldJob{}, nil
	j.fn.running--
	if r.peer.alarm.job == j {
		q.clearAlarm(r.peer)
	}
}

// ring sends NOOP to the function's sleepers, or to as many as the server wakes, and starts after them the next time.
func (q *queue) ring(f *function) {
	if f.next == nil {
		return
	}
	sent := 0
	r := f.next
	for {
		if r.peer.sleeping && !r.peer.rung {
			q.sendNoop(r.peer)
			r.peer.rung = true
			sent++
		}
		r = r.ringNext
		if r == f.next || q.rules.wakeup != 0 && sent >= q.rules.wakeup {
			break
		}
	}
	f.next = r
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

// leave ends a foreground client's wait. When it was the last one the job is abandoned, also one that was submitted in the
// background and joined by the client.
func (q *queue) leave(w *waiter) {
	w.peer.waits.remove(&w.byPeer)
	w.job.waiters.remove(&w.byJob)
	if w.job.waiters.front == nil {
		w.job.abandoned, w.job.queuedOn = true, false
	}
}

// cancel fails a job for those who wait for it. It stays counted until a worker comes across it; a running one runs on.
func (q *queue) cancel(handle string) bool {
	j := q.byHandle[handle]
	if j == nil {
		return false
	}
	q.tellFail(j)
	j.abandoned, j.queuedOn = true, false
	return true
}

// take gives the peer its next job, or nil. A line whose jobs are all delayed hides the lines of lower priority behind it, and
// abandoned jobs that come up are dropped.
func (q *queue) take(p *peer) *job {
	now := q.now()
	for n := p.regs.front; n != nil; {
		r := n.v
		if r.fn.queued == 0 {
			n = n.next
			continue
		}
		if q.rules.roundRobin {
			// gearmand moves the function to the end before it looks, and so looks at nothing behind it: when all its jobs are
			// delayed, the answer is NO_JOB whatever the other functions hold.
			p.regs.remove(n)
			p.regs.pushBack(n)
		}
		l := &r.fn.lines[low]
		for prio := range low {
			if r.fn.lines[prio].head != nil {
				l = &r.fn.lines[prio]
				break
			}
		}
		before, j := l.ready(now)
		if j == nil {
			n = n.next
			continue
		}
		l.remove(before, j)
		r.fn.queued--
		q.assign(r, j)
		if !j.abandoned {
			return j
		}
		q.free(j)
		n = p.regs.front
	}
	return nil
}

func (q *queue) assign(r *registration, j *job) {
	j.inLine = nil
	j.worker = r
	j.held.next = r.held
	if r.held != nil {
		r.held.held.prev = j
	}
	r.held = j
	r.fn.running++
}

// runnable says whether PRE_SLEEP must ring at once. It looks into every line, also those that take does not reach, and drops
// abandoned jobs that it meets; because it drops what take gives, it can drop the wrong one: with a delayed job and an abandoned
// LOW job on one function, a job of another function. gearmand does the same.
func (q *queue) runnable(p *peer) bool {
	for {
		j := q.peek(p)
		if j == nil || !j.abandoned {
			return j != nil
		}
		j.abandoned = false
		if taken := q.take(p); taken != nil {
			q.free(taken)
		}
	}
}

func (q *queue) peek(p *peer) *job {
	now := q.now()
	for n := p.regs.front; n != nil; n = n.next {
		if n.v.fn.queued == 0 {
			continue
		}
		for i := range n.v.fn.lines {
			if _, j := n.v.fn.lines[i].ready(now); j != nil {
				return j
			}
		}
	}
	return nil
}

// running finds a job by handle that this peer works on.
func (q *queue) running(p *peer, handle []byte) *job {
	j := q.byHandle[string(handle)]
	if j == nil || j.worker == nil || j.worker.peer != p {
		return nil
	}
	return j
}

// drop removes a function without workers and running jobs. Its queued jobs dangle: `show jobs` lists them, no worker gets them.
func (q *queue) drop(f *function) {
	delete(q.byName, f.name)
	for i, g := range q.functions {
		if g == f {
			q.functions = append(q.functions[:i], q.functions[i+1:]...)
			return
		}
	}
}

// startAlarm sets the connection's timer for a job that it just took; a job without a timeout takes the timer away.
func (q *queue) startAlarm(p *peer, j *job) {
	q.clearAlarm(p)
	if ms := j.worker.timeoutMS; ms > 0 {
		p.alarm = alarm{job: j, stop: q.later(max(ms, 1000), func() { q.expired(p, j) })}
	}
}

func (q *queue) clearAlarm(p *peer) {
	if p.alarm.stop != nil {
		p.alarm.stop()
	}
	p.alarm = alarm{}
}

// expired requeues the job that a connection had too long; nobody is told.
func (q *queue) expired(p *peer, j *job) {
	if p.alarm.job == j && j.worker != nil && j.worker.peer == p {
		q.enqueue(j)
	}
}
