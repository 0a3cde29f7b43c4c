package sim

import "math"

// Result is what a run came to.
type Result struct {
	Jobs int
	// Late is how many jobs started later than each of the run's targets, in their order.
	Late []int
	// waits are those of all jobs.
	waits histogram
	// ScaleDowns are how long each lowering of replicas took, from the first decision that asked
	// for fewer to the last step.
	ScaleDowns histogram
	// Created, Removed and Patches count pods made, pods removed by lower replicas, and deletion
	// costs written.
	Created, Removed, Patches int
	// WorkerHours is the time that pods existed, from creation to their end.
	WorkerHours float64
	// Actions is how often the replicas were changed, Reversals how often a change went the other
	// way than the one before.
	Actions, Reversals int
	// Interrupted is how many jobs were cut off because a stopping pod's time to drain was over.
	Interrupted int
	// Drained is how many busy pods were told to stop (their jobs went on).
	Drained int
	// PartialDowns is how many times replicas were lowered while a job server didn't answer.
	PartialDowns int
	// Peak is the largest number of working pods, TimeToPeak the seconds from the first replica
	// ordered after the run's mark until 90% of it worked.
	Peak       int
	TimeToPeak float64
}

const buckets = 1024

var bucketScale = 1 / math.Log(1.02)

// histogram counts times in steps of 2%.
type histogram [buckets]int32

func (h *histogram) add(seconds float64) {
	b := 0
	if seconds > 0.001 {
		b = min(buckets-1, int(math.Log(seconds/0.001)*bucketScale)+1)
	}
	h[b]++
}

// Quantile is the time in seconds that the part q does not exceed, to within 2%.
func (h *histogram) Quantile(q float64) float64 {
	total := 0
	for _, n := range h {
		total += int(n)
	}
	left := int(math.Ceil(q * float64(total)))
	for b, n := range h {
		if left -= int(n); left <= 0 {
			if b == 0 {
				return 0
			}
			return 0.001 * math.Exp(float64(b)/bucketScale)
		}
	}
	return 0
}

func (h *histogram) merge(o *histogram) {
	for i := range o {
		h[i] += o[i]
	}
}

// Quantile is the wait in seconds that the part q of the jobs does not exceed, to within 2%.
func (r *Result) Quantile(q float64) float64 { return r.waits.Quantile(q) }

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
	r.waits.merge(&o.waits)
	r.ScaleDowns.merge(&o.ScaleDowns)
	r.Created += o.Created
	r.Removed += o.Removed
	r.Patches += o.Patches
	r.WorkerHours += o.WorkerHours
	r.Actions += o.Actions
	r.Reversals += o.Reversals
	r.Interrupted += o.Interrupted
	r.Drained += o.Drained
	r.PartialDowns += o.PartialDowns
	r.Peak = max(r.Peak, o.Peak)
	r.TimeToPeak = max(r.TimeToPeak, o.TimeToPeak)
}
