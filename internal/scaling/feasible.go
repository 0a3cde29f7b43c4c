package scaling

import "math"

const (
	// usableTargetFraction is the part of the target wait that the law plans with: the rest covers
	// what happens between polls.
	usableTargetFraction = 0.9
	// starvationMarginFraction is the part of the target wait by which the law plans ahead for a
	// function that other functions may starve.
	starvationMarginFraction = 0.2
	// maxFunctions is how many functions a pool may have; the cohorts of further ones are not told
	// apart.
	maxFunctions = 64
)

// capacity is what a pool has to run its queue.
type capacity struct {
	free, starting float64 // slots
	wait           float64 // mean seconds until the starting ones are ready
	boot           float64 // seconds from ordering new pods to their first job, with one tick
	target         float64 // seconds
	scarce         bool    // pods start too slowly for the target: late ones help later jobs
	sure           bool    // only count jobs whose job time is known
}

// missing returns how many slots the queue lacks so that all of it starts in time, and whether
// ordering them can't wait for another tick.
//
// For each age in the queue, oldest first, it takes all jobs at least that old: n jobs of together
// W slot-seconds, sb = W/n each, and the time d left until the youngest of them should start. The
// work that the existing slots can do until then:
//
//	a free slot      sb + d        it begins now, and may begin its last one at the very end
//	a starting slot  sb + max(0, d-h)
//	a busy slot      p sb + d - s p, p = 1 - exp(-d/s): it has to end its present job first, of mean time s and, as far as can be known, of exponential length
//
// The busy slots' part is multiplied by 1 - 0.5/sqrt(rho), rho = sum of d/s: if few jobs are
// expected to end, fewer can be relied on. The rest is for new slots, each of which does sb + (d -
// H), or sb + S/4 if the time is too short anyway; and there can't be more of them than jobs
// without a slot.
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
		v := min((work-c.work(functions, each, d))/(each+max(left-c.boot, c.target/4)), more)
		if v > 0 && !c.scarce && left < c.boot && work <= c.work(functions, each, c.boot) {
			continue // all of it starts before a new pod could be ready
		}
		if v > 0 {
			slots = max(slots, v)
			urgent = urgent || left-c.boot < tick
		}
	}
}

// starved returns how many slots are missing now for a function that other functions may starve:
// job servers assign a worker's functions in a fixed order, so one can wait while every slot that
// becomes free, and every pod that starts, takes jobs of the others. This can happen if no slot
// runs its jobs. Let d be the time left until its oldest job should start, or until a new pod could
// be ready if that is longer. Then the pool needs as many slots as the jobs of all others will hold
// at that time if none of them waits, plus half a standard deviation, plus the function's own jobs
// that are due. Until enough jobs have completed to know their time, one slot is added to measure
// it.
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

// holds returns how many slots the function's jobs hold d seconds from now, if the jobs that
// arrived before until, and later ones, need not wait for a slot, and the variance of that number.
// With job times s, and r for the remaining time of running jobs, both taken as exponential:
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

// work returns the slot-seconds that the slots can run until d seconds from now, of jobs that take
// each seconds.
func (c capacity) work(functions []Function, each, d float64) float64 {
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
