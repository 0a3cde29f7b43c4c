package scaling

import "math"

const (
	// usableTargetFraction is the part of the target wait that is planned with: the rest is for what
	// the poll doesn't see.
	usableTargetFraction = 0.9
	// starvationMarginFraction is the part of the target wait by which a function that may not get
	// its turn is planned for earlier than others.
	starvationMarginFraction = 0.2
	// maxFunctions is how many functions a pool may have; more are decided alike, but their cohorts
	// are not told apart.
	maxFunctions = 64
)

// capacity is what a pool has to work on its queue.
type capacity struct {
	free, starting float64 // slots
	wait           float64 // mean seconds until the starting ones work
	boot           float64 // seconds from an order of new pods to their first job, with one tick
	target         float64 // seconds
	scarce         bool    // pods start too slowly for the target: what comes late helps those who come later
	sure           bool    // only of jobs of which it is known how long they take
}

// missing says how many slots the queue lacks so that all of it starts in time, and whether
// ordering them can't wait for another tick.
//
// For each age in the queue, oldest first, it takes all jobs at least that old: n jobs of together
// W slot-seconds, sb = W/n each, and the time left d until the youngest of them should start. What
// the slots that exist can do of them until then:
//
//	a free slot      sb + d        it begins now, and may begin its last one at the very end
//	a starting slot  sb + max(0, d-h)
//	a busy slot      p sb + d - s p, p = 1 - exp(-d/s): it has to end its present job first, of mean time s and, as far as can be known, of exponential length
//
// of which the busy slots' part is taken by the factor 1 - 0.5/sqrt(rho), rho = sum of d/s: with
// few ends to be expected, few may be relied on. The rest is for new slots, of which each does sb +
// (d - H), or sb + S/4 where the time is too short anyway; and there can't be more of them than
// jobs without a slot.
func (s *State) missing(now, tick float64, c capacity) (slots float64, urgent bool) {
	var next [maxFunctions]int32
	functions := s.Functions[:min(len(s.Functions), maxFunctions)]
	n, work := 0., 0.
	for {
		first := -1
		var at float64
		for i := range functions {
			if f := &functions[i]; int(next[i]) < len(f.Cohorts) && (!c.sure || !f.unsure()) {
				if t := f.Cohorts[next[i]].At; first < 0 || t < at {
					first, at = i, t
				}
			}
		}
		if first < 0 {
			return slots, urgent
		}
		f := &functions[first]
		jobs := f.Cohorts[next[first]].N //nolint:gosec // there are maxFunctions at most
		next[first]++                    //nolint:gosec // as above
		n += jobs
		work += jobs * f.Mean
		each := work / n
		left := usableTargetFraction*c.target - (now-at)*f.Skew
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

// starved says how many slots are missing now for a function whose turn may not come: job servers
// hand out a worker's functions in a fixed order, so that one can wait while every slot that gets
// free, and every pod that starts, goes to the others. That is to be feared where no slot works on
// it. Let d be the time left until its oldest job should start, or until a new pod could work if
// that is longer. Then the pool needs as many slots as the jobs of all others will hold at that
// time if none of them waits, by half a standard deviation more than that, and what is due of its
// own. Until enough jobs have told how long they take, one slot finds out.
func (s *State) starved(now, tick, free, slots, boot, target float64) (missing float64) {
	if len(s.Functions) < 2 || free >= 1 {
		return 0
	}
	for i := range s.Functions {
		f := &s.Functions[i]
		at, waits := f.oldest()
		if !waits || f.Serving >= 0.5 {
			continue
		}
		left := usableTargetFraction*target - (now-at)*f.Skew
		if left-boot >= max(2*tick, starvationMarginFraction*target) {
			continue
		}
		d := max(left, boot)
		held, variance := f.holds(d, now+tick-(usableTargetFraction*target-d)/f.Skew)
		for j := range s.Functions {
			if j != i {
				h, v := s.Functions[j].holds(d, now)
				held, variance = held+h, variance+v
			}
		}
		need := held + 0.5*math.Sqrt(variance) - slots
		if f.unsure() {
			need = min(need, 1)
		}
		missing = max(missing, need)
	}
	return missing
}

// holds is how many slots the function's jobs hold d seconds from now, if those that came up to the
// time until and those that still come need not wait for one, and the variance of that number. With
// job times s and r for the rest of running ones, exponential as far as can be known:
//
//	a running job   exp(-d/r)             it still runs
//	a queued job    s/d (1 - exp(-d/s))   begun at any moment until then: a long one holds its slot, short ones share one
//	those to come   a (1 - exp(-d/s))     of the load a
func (f *Function) holds(d, until float64) (slots, variance float64) {
	x := d / max(f.Mean, 1e-3)
	gone := -math.Expm1(-x)
	still, begun := math.Exp(-d/max(f.Rest, 1e-3)), gone/x
	queued := 0.
	for _, c := range f.Cohorts {
		if c.At > until {
			break
		}
		queued += c.N
	}
	running, queued, coming := f.Serving*still, queued*begun, f.Load*gone
	return running + queued + coming, running*(1-still) + queued*(1-begun) + coming
}

// does is the work in slot-seconds that the slots can do until d seconds from now, of jobs that
// take each seconds.
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
