package gearmantest

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

// unregister requeues the jobs that run under the registration, the last taken first, and removes
// it. The registration stays on the function's ring until they are requeued, so that its own
// connection is woken for them if it sleeps.
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

// release takes a running job away from its worker.
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

// ring sends NOOP to the function's sleepers, or to as many as the server wakes. The next call
// starts after them.
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

// take gives the peer its next job, or nil. A line whose jobs are all delayed hides the lines of
// lower priority after it. Abandoned jobs that are reached are dropped.
func (q *queue) take(p *peer) *job {
	if q.rules.two {
		return q.take2(p)
	}
	now := q.now()
	for n := p.regs.front; n != nil; {
		r := n.v
		if r.fn.queued == 0 {
			n = n.next
			continue
		}
		if q.rules.roundRobin {
			// gearmand moves the function to the end before it checks, and so checks no function
			// after it: if all its jobs are delayed, the response is NO_JOB even if the other
			// functions have jobs.
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

// runnable reports whether PRE_SLEEP must wake the peer at once. It checks every line, even those
// that take does not reach, and drops abandoned jobs that it meets. Since it drops the job that
// take returns, it can drop the wrong one: with a delayed job and an abandoned LOW job on one
// function, it drops a job of another function. gearmand does the same.
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

// startAlarm sets the connection's timer for a job that it just took; a job without a timeout
// clears the timer.
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

// expired requeues the job that a connection ran for too long; nobody is told.
func (q *queue) expired(p *peer, j *job) {
	if p.alarm.job == j && j.worker != nil && j.worker.peer == p {
		q.enqueue(j)
	}
}
