package gearmantest

// This file has the differences of gearmand 2.0.0 from 1.1.20, according to its release notes and
// source: priorities count over all functions of a connection, functions with jobs of one priority
// take turns, and sleepers are woken when a delayed job becomes due.
//
// One thing is left out on purpose. According to its source, a request for a job on a connection
// with two functions that both have only delayed jobs of one priority loops between them forever,
// which hangs the server. Here it ends with NO_JOB.

// take2 is take for this dialect. A line whose jobs are all delayed hides nothing, but costs its
// function's turn.
func (q *queue) take2(p *peer) *job {
	now := q.now()
	for prio := high; prio < priorities; {
		j := q.takeOf(p, prio, now)
		switch {
		case j == nil:
			prio++
		case j.abandoned:
			q.free(j)
			prio = high
		default:
			return j
		}
	}
	return nil
}

// takeOf takes the first due job of one priority, from each of the peer's functions in turn.
func (q *queue) takeOf(p *peer, prio priority, now int64) *job {
	n := p.regs.front
	for range p.regs.n {
		r, next := n.v, n.next
		if l := &r.fn.lines[prio]; l.head != nil {
			p.regs.remove(n)
			p.regs.pushBack(n)
			if before, j := l.ready(now); j != nil {
				l.remove(before, j)
				r.fn.queued--
				q.assign(r, j)
				return j
			}
		}
		n = next
	}
	return nil
}

// wakeWhenDue makes sure that sleepers are woken when a delayed job becomes due. Each function has
// one timer, for the first of its jobs.
func (q *queue) wakeWhenDue(f *function, when int64) {
	now := q.now()
	if when <= now || f.due.at != 0 && f.due.at <= when {
		return
	}
	if f.due.stop != nil {
		f.due.stop()
	}
	f.due.at = when
	f.due.stop = q.later((when-now)*1000, func() {
		f.due.at, f.due.stop = 0, nil
		q.fellDue(f)
	})
}

// fellDue wakes sleepers for the due jobs of a function, and sets the timer for the first of the
// others.
func (q *queue) fellDue(f *function) {
	now, ready := q.now(), false
	var next int64
	for i := range f.lines {
		for j := f.lines[i].head; j != nil; j = j.inLine {
			switch {
			case j.when <= now:
				ready = true
			case next == 0 || j.when < next:
				next = j.when
			}
		}
	}
	if ready {
		q.ring(f)
	}
	if next != 0 {
		q.wakeWhenDue(f, next)
	}
}
