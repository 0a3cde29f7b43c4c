package controllers

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"
)

// All status writes together keep to this rate, so that a job server that falls silent, or a new operator, is no storm for the API server.
const (
	statusRate  = 100 // a second
	statusBurst = 200
)

// pacer gives each pool that has a status to write its turn. It never blocks: who is not due yet comes back later, and its replicas have been written meanwhile.
type pacer struct {
	mu      sync.Mutex
	limiter *rate.Limiter
	turns   map[types.NamespacedName]time.Time
}

func newPacer(perSecond rate.Limit, burst int) *pacer {
	return &pacer{limiter: rate.NewLimiter(perSecond, burst), turns: map[types.NamespacedName]time.Time{}}
}

// wait returns how long it is until the pool's turn, 0 where it is now and thereby used up. A pool that waits keeps its turn, however often it asks.
func (p *pacer) wait(key types.NamespacedName, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	turn, ok := p.turns[key]
	if !ok {
		turn = now.Add(p.limiter.ReserveN(now, 1).DelayFrom(now))
	}
	if turn.After(now) {
		p.turns[key] = turn
		return turn.Sub(now)
	}
	delete(p.turns, key)
	return 0
}

func (p *pacer) forget(key types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.turns, key)
}

func (p *pacer) waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.turns)
}
