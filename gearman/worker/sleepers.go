package worker

import (
	"sync"
	"sync/atomic"
	"time"
)

// fewSleepers is how many connections to a job server, of all slots together, are registered there
// as sleeping. gearmand wakes every sleeping connection of a function for each job: with 1,000 idle
// slots a job costs it 43 ms. The other idle connections doze: the job server doesn't know that
// they wait. Each slot that gets a job rouses one of them, so the number of slots that take jobs
// doubles with each round if many jobs arrive at once.
const fewSleepers = 4

// sleepers are the idle connections to one job server.
type sleepers struct {
	dozers atomic.Int32 // len(dozing)

	mu     sync.Mutex
	asleep int     // connections that the job server knows to be sleeping
	dozing []*link // all other idle connections
}

// Whether an idle link sleeps or dozes.
const (
	notIdle int32 = iota
	sleeping
	dozing
)

// enter adds an idle link, and reports whether to tell the job server that it sleeps. A link that
// doesn't have all of the worker's functions always sleeps, since other links can't replace it.
func (p *sleepers) enter(l *link, all bool) (tell bool) {
	if !all {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asleep < fewSleepers {
		p.asleep++
		l.idle.Store(sleeping)
		return true
	}
	l.idle.Store(dozing)
	l.dozer = len(p.dozing)
	p.dozing = append(p.dozing, l)
	p.dozers.Store(int32(len(p.dozing))) //nolint:gosec // one for each slot
	return false
}

// leave removes a link that is no longer idle.
func (p *sleepers) leave(l *link) {
	if l.idle.Load() == notIdle { // a link that gets one job after the other takes no lock that all share
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch l.idle.Load() {
	case sleeping:
		p.asleep--
	case dozing:
		p.remove(l)
	}
	l.idle.Store(notIdle)
}

func (p *sleepers) remove(l *link) {
	last := len(p.dozing) - 1
	p.dozing[l.dozer] = p.dozing[last]
	p.dozing[l.dozer].dozer = l.dozer
	p.dozing[last] = nil
	p.dozing = p.dozing[:last]
	p.dozers.Store(int32(last)) //nolint:gosec // one for each slot
}

// take removes and returns a dozing link. It returns nil if there is none or enough others sleep.
func (p *sleepers) take() *link {
	if p.dozers.Load() == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.dozing) == 0 || p.asleep >= fewSleepers {
		return nil
	}
	l := p.dozing[len(p.dozing)-1]
	p.remove(l)
	l.idle.Store(notIdle)
	return l
}

// rouse makes a dozing connection of a free slot poll its job server. It is called when a
// connection that is known to sleep has got a job, can't take one, or is lost: there may be more
// jobs, and another connection has to sleep in its place.
func (p *sleepers) rouse() {
	for {
		l := p.take()
		if l == nil {
			return
		}
		s := l.c.slot
		s.mu.Lock()
		free := !s.busy && l.state == asleep
		if l.state == asleep {
			l.state, l.notBefore = awake, time.Now()
		}
		s.mu.Unlock()
		if free {
			s.ping()
			return
		}
	}
}
