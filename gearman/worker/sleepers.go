package worker

import (
	"sync"
	"sync/atomic"
	"time"
)

// fewSleepers is how many connections to a server, of all slots, are told to it as sleeping.
// gearmand wakes every sleeping connection of a function for each job: with 1,000 idle slots a job
// costs it 43 ms. The other idle connections doze: the server doesn't know that they wait, and each
// slot that gets a job rouses one of them, so that many jobs at once are taken by twice as many
// slots with each round.
const fewSleepers = 4

// sleepers are the idle connections to one server.
type sleepers struct {
	dozers atomic.Int32 // len(dozing)

	mu     sync.Mutex
	asleep int     // connections of which the server was told
	dozing []*link // the others
}

// Whether an idle link sleeps or dozes.
const (
	notIdle = iota
	sleeping
	dozing
)

// enter takes in an idle link, and reports whether the server is to be told that it sleeps. A link
// that doesn't have all of the worker's functions always sleeps: another one could not stand for
// it.
func (p *sleepers) enter(l *link, all bool) (tell bool) {
	if !all {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asleep < fewSleepers {
		p.asleep++
		l.idle = sleeping
		return true
	}
	l.idle, l.dozer = dozing, len(p.dozing)
	p.dozing = append(p.dozing, l)
	p.dozers.Store(int32(len(p.dozing))) //nolint:gosec // one for each slot
	return false
}

// leave takes out a link that is idle no more.
func (p *sleepers) leave(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch l.idle {
	case sleeping:
		p.asleep--
	case dozing:
		p.remove(l)
	}
	l.idle = notIdle
}

func (p *sleepers) remove(l *link) {
	last := len(p.dozing) - 1
	p.dozing[l.dozer] = p.dozing[last]
	p.dozing[l.dozer].dozer = l.dozer
	p.dozing[last] = nil
	p.dozing = p.dozing[:last]
	p.dozers.Store(int32(last)) //nolint:gosec // one for each slot
}

// take takes out a dozing link, nil if there is none or enough others sleep.
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
	l.idle = notIdle
	return l
}

// rouse has a dozing connection of a free slot ask its server for a job. It is called when one that
// the server knew of has got a job, can't take one, or is lost: there may be more jobs, and
// somebody has to sleep in its place.
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
