package autoscaler

import "time"

const (
	// recreateWindow is how soon after its creation a Deployment must be deleted for its pool to
	// wait before it creates the next one: firstRecreateWait, and twice as long each time.
	recreateWindow    = 2 * time.Minute
	firstRecreateWait = time.Second
	// maxRecreated is how many Deployments in a row are created again like that. After that another
	// writer evidently keeps deleting them, and the next one is created contestedWait after the
	// last; that is longer than unseenFor, so that the status can report it.
	maxRecreated  = 4
	contestedWait = 45 * time.Second
)

// recreation is when a pool's Deployment was last created, and how many before it were deleted
// within recreateWindow, one after the other.
type recreation struct {
	at   time.Time
	lost int
}

// RecordCreated records that a Deployment was created for the pool.
func (p *Pool) RecordCreated(now time.Time) {
	lost := 0
	if m := p.recreation; m != nil && now.Sub(m.at) <= recreateWindow {
		lost = min(m.lost+1, maxRecreated)
	}
	p.recreation = &recreation{at: now, lost: lost}
}

// RecreateWait returns how long a pool whose Deployment is gone waits before it creates another,
// and whether so many were deleted that this is contested: its pods would start and stop with each.
func (p *Pool) RecreateWait(now time.Time) (wait time.Duration, contested bool) {
	m := p.recreation
	if m == nil {
		return 0, false
	}
	age := now.Sub(m.at)
	switch {
	case age > recreateWindow:
		p.recreation = nil
		return 0, false
	case m.lost >= maxRecreated:
		return max(0, contestedWait-age), age < contestedWait
	default:
		return max(0, firstRecreateWait<<m.lost-age), false
	}
}
