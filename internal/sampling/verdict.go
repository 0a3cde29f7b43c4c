package sampling

import (
	"time"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

const (
	// stuckTicks is for how many ticks free slots must have been left without a backlog's jobs
	// before it is probed.
	stuckTicks = 3
	// verdictFor is for how long a verdict counts.
	verdictFor = 5 * time.Second
	// VerdictWait is for how long a pool at zero waits for a first verdict; then it is decided on
	// without one.
	VerdictWait = 250 * time.Millisecond
	// probesOfPool is how many probes of one pool may be under way at the same time.
	probesOfPool = 8
)

// Verdicts are what job servers said of the backlogs of a pool's functions. The zero value is ready
// to use.
type Verdicts struct {
	of    map[string]verdict
	stuck map[string]int // ticks for which free slots were not given a function's backlog
}

// verdict is what a job server said of a function's backlog: whether it can be given to a worker.
type verdict struct {
	runnable, notRunnable bool // neither: it is not known

	at      time.Time
	since   time.Time // start of the current run of equal verdicts
	askedAt time.Time // of the probe under way; zero if none is
}

// Probe asks for verdicts on backlogs that may not be runnable: any at zero replicas, and those
// that free slots were not given for some ticks. fresh: the job servers have answered since the
// last decision. ask reports whether the answer will come.
func (v *Verdicts) Probe(in *scaling.Sample, fresh bool, now time.Time, ask func(function string) bool) {
	var free int32
	for _, pod := range in.Pods {
		if pod.Ready && !pod.Terminating && pod.Telemetry && !pod.TakesNoJobs {
			free += max(0, max(pod.Capacity, 1)-pod.Busy)
		}
	}
	for _, f := range in.Functions {
		queued := f.Total - f.Running
		switch {
		case queued <= 0:
			delete(v.stuck, f.Name)
			v.drop(f.Name)
		case in.Replicas == 0:
			v.ask(f.Name, now, ask)
		case free == 0:
			delete(v.stuck, f.Name)
			v.drop(f.Name)
		default:
			if v.stuck == nil {
				v.stuck = map[string]int{}
			}
			if fresh {
				v.stuck[f.Name]++
			}
			if v.stuck[f.Name] >= stuckTicks {
				v.ask(f.Name, now, ask)
			}
		}
	}
}

// ask has the function probed unless its verdict is fresh or under way.
func (v *Verdicts) ask(function string, now time.Time, ask func(function string) bool) {
	last := v.of[function]
	if !last.askedAt.IsZero() || v.probing() >= probesOfPool || (!last.at.IsZero() && now.Sub(last.at) < verdictFor) {
		return
	}
	if ask(function) { // else so many probes wait that this one can wait for the next tick
		last.askedAt = now
		if v.of == nil {
			v.of = map[string]verdict{}
		}
		v.of[function] = last
	}
}

// probing counts the probes under way.
func (v *Verdicts) probing() (n int) {
	for _, one := range v.of {
		if !one.askedAt.IsZero() {
			n++
		}
	}
	return n
}

// Answer notes the answer to a probe. It is dropped if the pool was forgotten meanwhile.
func (v *Verdicts) Answer(function string, answer backlog.Verdict, now time.Time) {
	last, ok := v.of[function]
	if !ok {
		return
	}
	next := verdict{
		runnable: answer == backlog.Runnable, notRunnable: answer == backlog.NotRunnable, at: now, since: now,
	}
	if last.notRunnable && next.notRunnable {
		next.since = last.since
	}
	v.of[function] = next
}

// drop forgets the verdict on a function that has no backlog to be probed.
func (v *Verdicts) drop(function string) {
	if last, ok := v.of[function]; ok && last.askedAt.IsZero() {
		delete(v.of, function)
	}
}

// Fill notes the verdicts in a sample. seen is when the job servers last answered.
func (v *Verdicts) Fill(in *scaling.Sample, seen, now time.Time) {
	for i := range in.Functions {
		f := &in.Functions[i]
		f.NotRunnable = v.notRunnable(f.Name, in.Replicas > 0, seen)
		f.Runnable = v.runnable(f.Name, now)
	}
}

// notRunnable reports whether the verdict on a function is so. If workers take jobs, the last of
// them may have gone just before the probe, so that the job server had nothing to give: then the
// verdict counts once a later answer, that of seen, still shows the backlog.
func (v *Verdicts) notRunnable(function string, workers bool, seen time.Time) bool {
	last := v.of[function]
	return last.notRunnable && (!workers || seen.After(last.since))
}

// runnable reports whether the verdict on a function is so. A positive one is evidence for as long
// as a verdict counts.
func (v *Verdicts) runnable(function string, now time.Time) bool {
	last := v.of[function]
	return last.runnable && now.Sub(last.at) < 2*verdictFor // until the next one has come
}

// Pending reports whether a first verdict on one of the pool's functions is under way and worth
// waiting for.
func (v *Verdicts) Pending(now time.Time) bool {
	for _, one := range v.of {
		if !one.askedAt.IsZero() && one.at.IsZero() && now.Sub(one.askedAt) < VerdictWait {
			return true
		}
	}
	return false
}

// Empty reports whether nothing is kept.
func (v *Verdicts) Empty() bool { return v.of == nil && v.stuck == nil }
