package sim

import "math"

// Result is what a run came to.
type Result struct {
	Jobs int
	// Late is how many jobs started later than each of the run's targets, in their order.
	Late []int
	// waits is a histogram of all waits, in steps of 2%.
	waits [waitBuckets]int32
	// WorkerHours is the time that pods existed, from creation to their end.
	WorkerHours float64
	// Actions is how often the replicas were changed, Reversals how often a change went the other way than the one before.
	Actions, Reversals int
	// Interrupted is how many jobs were cut off because a stopping pod's time to drain was over.
	Interrupted int
	// Drained is how many busy pods were told to stop (their jobs went on).
	Drained int
	// PartialDowns is how many times replicas were lowered while a job server didn't answer.
	PartialDowns int
	// Peak is the largest number of working pods, TimeToPeak the seconds from the first replica ordered after the run's mark until 90% of it worked.
	Peak       int
	TimeToPeak float64
}

const waitBuckets = 1024

var bucketScale = 1 / math.Log(1.02)

func (r *Result) wait(w float64) {
	b := 0
	if w > 0.001 {
		b = min(waitBuckets-1, int(math.Log(w/0.001)*bucketScale)+1)
	}
	r.waits[b]++
}

// Quantile is the wait in seconds that the part q of the jobs does not exceed, to within 2%.
func (r *Result) Quantile(q float64) float64 {
	total := 0
	for _, n := range r.waits {
		total += int(n)
	}
	left := int(math.Ceil(q * float64(total)))
	for b, n := range r.waits {
		if left -= int(n); left <= 0 {
			if b == 0 {
				return 0
			}
			return 0.001 * math.Exp(float64(b)/bucketScale)
		}
	}
	return 0
}

// MissPercent is the part of the jobs, in percent, that started later than the i-th target.
func (r *Result) MissPercent(i int) float64 {
	if r.Jobs == 0 {
		return 0
	}
	return 100 * float64(r.Late[i]) / float64(r.Jobs)
}

// Add adds the figures of another run of the same workload and targets.
func (r *Result) Add(o *Result) {
	r.Jobs += o.Jobs
	if r.Late == nil {
		r.Late = make([]int, len(o.Late))
	}
	for i := range o.Late {
		r.Late[i] += o.Late[i]
	}
	for i := range o.waits {
		r.waits[i] += o.waits[i]
	}
	r.WorkerHours += o.WorkerHours
	r.Actions += o.Actions
	r.Reversals += o.Reversals
	r.Interrupted += o.Interrupted
	r.Drained += o.Drained
	r.PartialDowns += o.PartialDowns
	r.Peak = max(r.Peak, o.Peak)
	r.TimeToPeak = max(r.TimeToPeak, o.TimeToPeak)
}
