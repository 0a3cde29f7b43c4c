package autoscaler

import "time"

const (
	// lostWithin is how soon after it was made a Deployment must be gone for its pool to wait with the
	// next one: lostWait, and twice as long each time.
	lostWithin = 2 * time.Minute
	lostWait   = time.Second
	// maxLost is how many Deployments in a row are made anew like that. Then somebody insists, and
	// the last has to have been made lostAgain before the next is; that is longer than unseenFor, so
	// that the status can say so.
	maxLost   = 4
	lostAgain = 45 * time.Second
)

// making is when a pool's Deployment was made last, and how many before it were gone within
// lostWithin, one after the other.
type making struct {
	at   time.Time
	lost int
}

// Made notes that a Deployment was made for the pool.
func (p *Pool) Made(now time.Time) {
	lost := 0
	if m := p.making; m != nil && now.Sub(m.at) <= lostWithin {
		lost = min(m.lost+1, maxLost)
	}
	p.making = &making{at: now, lost: lost}
}

// Lost returns for how long a pool whose Deployment is gone waits before it makes another, and
// whether so many have gone that somebody insists: its pods would come and go with each.
func (p *Pool) Lost(now time.Time) (wait time.Duration, contested bool) {
	m := p.making
	if m == nil {
		return 0, false
	}
	age := now.Sub(m.at)
	switch {
	case age > lostWithin:
		p.making = nil
		return 0, false
	case m.lost >= maxLost:
		return max(0, lostAgain-age), age < lostAgain
	default:
		return max(0, lostWait<<m.lost-age), false
	}
}
