package sim

import "math"

// Result is the result of a run.
type Result struct {
	Jobs int
	// Late is how many jobs started later than each of the run's targets, in the order of the
	// targets.
	Late []int
	// waits are the waits of all jobs.
	waits histogram
	// ScaleDowns are the durations of scale-downs, from the first decision that wanted fewer
	// replicas to the last step.
	ScaleDowns histogram
	// Created, Removed and Patches count pods created, pods removed by lowering the replicas, and
	// deletion costs written.
	Created, Removed, Patches int
	// WorkerHours is the time for which pods existed, from creation to their end.
	WorkerHours float64
	// Actions is how often the replicas were changed, Reversals how often a change had the opposite
	// direction of the one before.
	Actions, Reversals int
	// Interrupted is how many jobs were interrupted because a stopping pod's time to drain was
	// over.
	Interrupted int
	// Drained is how many busy pods were told to stop (their jobs continued).
	Drained int
	// PartialDowns is how many times replicas were lowered while a job server didn't answer.
	PartialDowns int
	// Peak is the largest number of working pods. TimeToPeak is the number of seconds from the
	// first replica ordered after the run's mark until 90% of the peak was working.
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

// Quantile returns the time in seconds that a share q of the times does not exceed, within 2%.
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

// Quantile returns the wait in seconds that a share q of the jobs does not exceed, within 2%.
func (r *Result) Quantile(q float64) float64 { return r.waits.Quantile(q) }

// MissPercent returns the percentage of the jobs that started later than the i-th target.
func (r *Result) MissPercent(i int) float64 {
	if r.Jobs == 0 {
		return 0
	}
	return 100 * float64(r.Late[i]) / float64(r.Jobs)
}

// Add adds the figures of another run with the same workload and targets.
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
