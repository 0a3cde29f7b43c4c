package scaling

import "math"

const (
	// haste is the part of the target wait that is spent: the rest is for what the poll doesn't see.
	haste = 0.9
	// fear is the part of the target wait by which a function whose turn may not come is cared for earlier than others.
	fear = 0.4
	// maxFunctions is how many functions a pool may have; more are decided alike, but their cohorts are not told apart.
	maxFunctions = 64
)

// capacity is what a pool has to work on its queue.
type capacity struct {
	free, starting float64 // slots
	wait           float64 // mean seconds until the starting ones work
	boot           float64 // seconds from an order of new pods to their first job, with one tick
	target         float64 // seconds
	scarce         bool    // pods start too slowly for the target: what comes late helps those who come later
}

// missing says how many slots the queue lacks so that all of it starts in time, and whether ordering them can't wait for another tick.
//
// For each age in the queue, oldest first, it takes all jobs at least that old: n jobs of together W slot-seconds, sb = W/n each, and the time left d until the
// youngest of them should start. What the slots that exist can do of them until then:
//
//	a free slot      sb + d        it begins now, and may begin its last one at the very end
//	a starting slot  sb + max(0, d-h)
//	a busy slot      p sb + d - s p, p = 1 - exp(-d/s): it has to end its present job first, of mean time s and, as far as can be known, of exponential length
//
// of which the busy slots' part is taken by the factor 1 - 0.5/sqrt(rho), rho = sum of d/s: with few ends to be expected, few may be relied on. The rest is for new slots,
// of which each does sb + (d - H), or sb + S/4 where the time is too short anyway; and there can't be more of them than jobs without a slot.
func (s *State) missing(now, tick float64, c capacity) (slots float64, urgent bool) {
	var next [maxFunctions]int32
	functions := s.Functions[:min(len(s.Functions), maxFunctions)]
	n, work := 0., 0.
	for {
		first := -1
		var at float64
		for i := range functions {
			if f := &functions[i]; int(next[i]) < len(f.Cohorts) {
				if t := f.Cohorts[next[i]].At; first < 0 || t < at {
					first, at = i, t
				}
			}
		}
		if first < 0 {
			return slots, urgent
		}
		f := &functions[first]
		jobs := f.Cohorts[next[first]].N
		next[first]++
		n += jobs
		work += jobs * f.Mean
		each := work / n
		left := haste*c.target - (now-at)*f.Skew
		d := max(left, 0)
		more := n - c.free - c.starting
		if more <= 0 {
			continue
		}
		v := min((work-c.does(functions, each, d))/(each+max(left-c.boot, c.target/4)), more)
		if v > 0 && !c.scarce && left < c.boot && work <= c.does(functions, each, c.boot) {
			continue // all of it is begun before a new pod could be there
		}
		if v > 0 {
			slots = max(slots, v)
			urgent = urgent || left-c.boot < tick
		}
	}
}

// starved says how many slots are missing for a function whose turn may not come: job servers hand out a worker's functions in a fixed order, so that one can wait
// while every slot that gets free goes to the others. That is to be feared where no slot works on it, and until its oldest job is due fewer slots get free than jobs of the
// others wait or will come.
func (s *State) starved(now, tick, free, starting, boot, target float64) (slots float64, urgent bool) {
	if len(s.Functions) < 2 || free >= 1 {
		return 0, false
	}
	for i := range s.Functions {
		f := &s.Functions[i]
		at, waits := f.oldest()
		if !waits || f.Serving >= 0.5 {
			continue
		}
		left := haste*target - (now-at)*f.Skew
		d := max(left, 0)
		ends, others := 0., 0.
		for j := range s.Functions {
			if g := &s.Functions[j]; j != i {
				ends += g.Serving * d / g.Mean
				others += g.Load * d / g.Mean
				for _, c := range g.Cohorts {
					others += c.N
				}
			}
		}
		if ends-0.5*math.Sqrt(ends)-others >= 1 {
			continue
		}
		work := 0.
		for _, c := range f.Cohorts {
			work += c.N * f.Mean
		}
		if need := max(1, work/(f.Mean+max(left-boot, target/4))) - starting; need > 0 && left-boot < max(2*tick, fear*target) {
			slots, urgent = max(slots, need), true
		}
	}
	return slots, urgent
}

// does is the work in slot-seconds that the slots can do until d seconds from now, of jobs that take each seconds.
func (c capacity) does(functions []Function, each, d float64) float64 {
	ends, busy := 0., 0.
	if d > 0 {
		for i := range functions {
			f := &functions[i]
			if r := f.Serving; r > 0 {
				p, x := 1., d/f.Rest
				if x < 30 {
					p = 1 - math.Exp(-x)
				}
				ends += r * (p + (d-f.Rest*p)/f.Mean)
				busy += r * (p*each + d - f.Rest*p)
			}
		}
	}
	if ends > 0.25 {
		busy *= 1 - 0.5/math.Sqrt(ends)
	} else {
		busy = 0
	}
	return busy + c.free*(each+d) + c.starting*(each+max(0, d-c.wait))
}
