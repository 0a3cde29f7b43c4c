package world

import "time"

// rates checks that a pool whose behavior bounds how many pods it gains or loses within a period
// obeys that whenever its replicas change, like a HorizontalPodAutoscaler. Bounds override it, pods
// that can't start and are given up don't count, and a new operator or Deployment starts anew.
func (j *judge) rates() {
	for pool := range j.w.plan.Pools {
		r := j.w.plan.Pools[pool].Rates
		if r == nil {
			continue
		}
		reported := false
		all := j.m.samples[pool]
		for i := range all {
			s := &all[i]
			from := s.at.Add(-r.Per + 2*time.Second) // a snapshot is up to a second late at either end
			past := j.between(pool, from, s.at.Add(time.Millisecond))
			if s.at.Sub(j.w.trace.began) < r.Per || !calm(past) ||
				j.m.delays(pool, ofAPI|ofLeader|ofUser, s.at.Add(-2*r.Per), s.at) > 0 {
				continue
			}
			j.checked()
			first := past[0].replicas
			most, least := j.atStart(pool, s.at.Add(-r.Per), first)
			gained, lost := s.replicas-most, least-s.replicas
			switch {
			case reported || i == 0 || s.replicas == all[i-1].replicas:
			case r.Up > 0 && s.replicas > all[i-1].replicas && gained > r.Up && first > 0 && s.replicas > s.min:
				reported = true
				j.violated(s.at, "pool %d gained %d pods within %s, behavior allows %d", pool, gained, r.Per, r.Up)
			case r.Down > 0 && s.replicas < all[i-1].replicas && lost > r.Down+int32(all[i-1].blocked) &&
				s.replicas < s.max:
				reported = true
				j.violated(s.at, "pool %d lost %d pods within %s, behavior allows %d", pool, lost, r.Per, r.Down)
			}
		}
	}
}

// atStart returns the most and the fewest replicas that a pool may have had when a period began: a
// change near that moment may count for it or not.
func (j *judge) atStart(pool int, at time.Time, first int32) (most, least int32) {
	most, least = first, first
	for _, s := range j.between(pool, at.Add(-2*time.Second), at.Add(3*time.Second)) {
		most, least = max(most, s.replicas), min(least, s.replicas)
	}
	return most, least
}
