package sim

import (
	"container/heap"
	"math"
)

// bound is the least that any law needs, even one that knows every job in advance. All jobs must be
// processed. To begin each job within the target, some number of slots is needed at once, and each
// of their pods must start once. This number is the smallest with which slots that are always ready
// begin all jobs in time, first come first served. It is a bound on worker-hours for laws that
// begin every job in time.
type bound struct{}

func (*bound) Name() string              { return Bound }
func (*bound) start(*Simulator)          {}
func (*bound) step(s *Simulator) float64 { return s.now + 1e9 }

// run computes the bound for a workload. It counts as a run without late jobs.
func (*bound) run(w *Workload, set Setting) *Result {
	work := 0.
	for i := range w.Jobs {
		work += float64(w.Jobs[i].Seconds)
	}
	lo, hi := 1, 1
	for !w.feasible(hi, set.Target) && hi < 1<<16 {
		lo, hi = hi+1, 2*hi
	}
	for lo < hi {
		if mid := (lo + hi) / 2; w.feasible(mid, set.Target) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	pods := math.Ceil(float64(hi) / float64(w.Concurrency))
	return &Result{
		Jobs: len(w.Jobs), Late: []int{0}, Peak: int(pods),
		WorkerHours: (work/float64(w.Concurrency) + pods*0.8*set.Boot) / 3600,
	}
}

type ends []float64

func (e ends) Len() int           { return len(e) }
func (e ends) Less(i, j int) bool { return e[i] < e[j] }
func (e ends) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *ends) Push(x any)        { *e = append(*e, x.(float64)) }
func (e *ends) Pop() any          { x := (*e)[len(*e)-1]; *e = (*e)[:len(*e)-1]; return x }

// feasible reports whether this many slots begin every job within the target. The wait of a delayed
// job counts from when it is due, in the order of submission.
func (w *Workload) feasible(slots int, target float64) bool {
	e := make(ends, slots)
	for i := range w.Jobs {
		j := &w.Jobs[i]
		due := j.At + float64(j.Delay)
		begin := max(due, e[0])
		if j.Delay == 0 && begin-due > target {
			return false
		}
		e[0] = begin + float64(j.Seconds)
		heap.Fix(&e, 0)
	}
	return true
}
